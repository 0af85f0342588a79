#!/usr/bin/env bash
# Builds the container image with Debian's buildah, as root: no daemon, and no more of the network than
# Debian's mirror. See usage below, and Dockerfile for what is in the image.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

MIRROR=http://deb.debian.org
RELEASE=bookworm
BOOTSTRAPPED=localhost/debian:12-slim

usage() {
  cat <<'END'
deploy/docker/build.sh [OPTIONS]
  --tag NAME       the image's name [localhost/varve:latest]
  --binaries DIR   take DIR/varved and DIR/varve instead of building them
  --base IMAGE     the image to build on [docker.io/library/debian:12-slim; when no registry can be
                   reached localhost/debian:12-slim, made with debootstrap if it is not there yet]
  --target STAGE   build only as far as this stage of the Dockerfile
  --storage DIR    keep images here (driver vfs), not where buildah is configured to keep them
END
}

die() {
  printf 'build.sh: %s\n' "$*" >&2
  exit 1
}

tag=localhost/varve:latest binaries='' base='' target='' storage=''
while (($#)); do
  case $1 in
    --help | -h)
      usage
      exit
      ;;
    --tag | --binaries | --base | --target | --storage)
      (($# > 1)) || die "$1 needs a value"
      printf -v "${1#--}" %s "$2"
      shift 2
      ;;
    *)
      usage >&2
      die "no option '$1'"
      ;;
  esac
done
[[ $(id -u) == 0 ]] || die "must be run by root: images hold files of several owners"

# Everything that buildah is told every time.
buildah=(buildah)
if [[ -n $storage ]]; then
  buildah+=(--root "$storage/root" --runroot "$storage/run" --storage-driver vfs)
fi

# A small Debian 12 as the image $BOOTSTRAPPED: no documents, manuals and translations.
bootstrap() {
  local root container dropped=(doc info locale man)
  root=$scratch/root
  debootstrap --variant=minbase $RELEASE "$root" $MIRROR/debian
  rm "$root/etc/apt/sources.list"
  cat >"$root/etc/apt/sources.list.d/debian.sources" <<END
Types: deb
URIs: $MIRROR/debian
Suites: $RELEASE $RELEASE-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: $MIRROR/debian-security
Suites: $RELEASE-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
END
  printf 'path-exclude /usr/share/%s/*\n' "${dropped[@]}" >"$root/etc/dpkg/dpkg.cfg.d/slim"
  (cd "$root" && rm -rf "${dropped[@]/#/usr/share/}" var/cache/apt/* var/lib/apt/lists/* var/log/*)
  container=$("${buildah[@]}" from scratch)
  "${buildah[@]}" add --quiet "$container" "$root" /
  "${buildah[@]}" config --cmd /bin/bash "$container"
  "${buildah[@]}" commit --quiet --rm "$container" $BOOTSTRAPPED
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
if [[ -z $base ]]; then
  base=docker.io/library/debian:12-slim
  timeout 120 "${buildah[@]}" pull --quiet $base || base=$BOOTSTRAPPED
fi
if [[ $base == "$BOOTSTRAPPED" ]] && ! "${buildah[@]}" inspect --type image $base &>/dev/null; then
  bootstrap
fi

dockerfile=deploy/docker/Dockerfile
options=(--tag "$tag" --build-arg "BASE=$base")
if [[ -n $target ]]; then options+=(--target "$target"); fi
if [[ -n $binaries ]]; then
  # A folder takes the build stage's place. Debian's buildah runs stages that nothing needs: without
  # that one's text.
  mkdir -p "$scratch/build/out"
  cp "$binaries/varved" "$binaries/varve" "$scratch/build/out/"
  options+=(--build-context "build=$scratch/build")
  sed '/^FROM .* AS build$/,/^FROM runtime$/{/^FROM runtime$/!d}' $dockerfile >"$scratch/Dockerfile"
  dockerfile=$scratch/Dockerfile
fi
version=$(sed -n 's/.*kVersion = "\(.*\)".*/\1/p' server/version.h)
"${buildah[@]}" build --isolation chroot --network host --format docker --layers \
  --build-arg "VERSION=$version" --ignorefile deploy/docker/Dockerfile.dockerignore \
  --file "$dockerfile" "${options[@]}" .
