package manifests

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/compose-spec/compose-go/loader"
	"github.com/compose-spec/compose-go/types"
)

func TestTheComposeFileIsOneAndKeepsTheServerToThisMachine(t *testing.T) {
	path := filepath.Join(root, "deploy/docker/compose.yaml")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// Checked against the schema of the compose specification.
	project, err := loader.Load(types.ConfigDetails{
		WorkingDir:  filepath.Dir(path),
		Environment: types.Mapping{},
		ConfigFiles: []types.ConfigFile{{Filename: path, Content: content}},
	})
	if err != nil {
		t.Fatal(err)
	}
	service, err := project.GetService("varve")
	if err != nil {
		t.Fatal(err)
	}
	for _, port := range service.Ports {
		if port.HostIP != "127.0.0.1" {
			t.Errorf("port %d is published on %q", port.Target, port.HostIP)
		}
	}
	if len(service.Ports) != 2 || service.Ports[0].Target != 7780 || service.Ports[1].Target != 7781 {
		t.Errorf("the ports are %v", service.Ports)
	}
	if !service.ReadOnly || len(service.CapDrop) != 1 || service.CapDrop[0] != "ALL" || service.Privileged {
		t.Error("the container may write to its root, or keeps capabilities")
	}
	if len(service.SecurityOpt) != 1 || service.SecurityOpt[0] != "no-new-privileges:true" {
		t.Errorf("security_opt is %v", service.SecurityOpt)
	}
	if len(service.Volumes) != 1 || service.Volumes[0].Target != "/var/lib/varve" || service.Volumes[0].Type != "volume" {
		t.Errorf("the volumes are %v", service.Volumes)
	}
	if budget := *service.Environment["VARVE_MEMORY_BUDGET_MIB"]; budget != "3072" || int64(service.MemLimit)>>20 != 4096 {
		t.Errorf("a budget of %s MiB goes with a limit of %d MiB", budget, int64(service.MemLimit)>>20)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(path), service.Build.Context, service.Build.Dockerfile)); err != nil {
		t.Error(err)
	}
}
