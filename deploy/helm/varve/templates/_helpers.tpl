{{/* The name of everything that a release makes: the release's own, with "varve" in it. */}}
{{- define "varve.fullname" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-{{ .Chart.Name }}{{ end }}
{{- end }}

{{- define "varve.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* What the server's pod is found by; the pods of snapshots must not be. */}}
{{- define "varve.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: server
{{- end }}

{{- define "varve.snapshotLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: snapshot
{{- end }}

{{- define "varve.labels" -}}
{{ include "varve.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* A quantity of memory in Mi or Gi as a number of MiB. */}}
{{- define "varve.mib" -}}
{{- if hasSuffix "Gi" . }}{{ mul (trimSuffix "Gi" . | atoi) 1024 }}{{ else }}{{ trimSuffix "Mi" . | atoi }}{{ end }}
{{- end }}

{{/* Values that contradict each other. */}}
{{- define "varve.check" -}}
{{- if and (not .Values.allowInsecure) (not (and .Values.tls.enabled .Values.auth.enabled)) }}
{{- fail "tls.enabled and auth.enabled must both be true, or allowInsecure" }}
{{- end }}
{{- $limit := include "varve.mib" .Values.resources.limits.memory | int }}
{{- if lt $limit (int .Values.memoryBudgetMib) }}
{{- fail (printf "resources.limits.memory is %d MiB: less than memoryBudgetMib, %d" $limit (int .Values.memoryBudgetMib)) }}
{{- end }}
{{- end }}

{{/* varved's settings: those that the chart decides, then .Values.config. */}}
{{- define "varve.config" -}}
{{- $config := dict
  "address" .Values.address
  "data-dir" "/var/lib/varve/data"
  "drain-seconds" .Values.drainSeconds
  "http-port" 7781
  "memory-budget-mib" .Values.memoryBudgetMib
  "port" 7780 }}
{{- if .Values.tls.enabled }}
{{- $_ := set $config "tls-cert" "/etc/varve-tls/tls.crt" }}
{{- $_ := set $config "tls-key" "/etc/varve-tls/tls.key" }}
{{- if .Values.tls.clientCertificates }}
{{- $_ := set $config "tls-client-ca" "/etc/varve-tls/ca.crt" }}
{{- end }}
{{- end }}
{{- if .Values.auth.enabled }}
{{- $_ := set $config "api-keys" (printf "/etc/varve-keys/%s" .Values.auth.file) }}
{{- end }}
{{- if .Values.allowInsecure }}
{{- $_ := set $config "allow-insecure" true }}
{{- end }}
{{- range $name, $value := merge $config .Values.config }}
{{ $name }} = {{ toJson $value }}
{{- end }}
{{- end }}

{{/* Asks whether the server is ready, or with "--live" whether it lives. The kubelet speaks gRPC without TLS
only; with TLS the server's own program asks, over HTTP. Given: the root and the flag. */}}
{{- define "varve.probe" -}}
{{- if .root.Values.tls.enabled -}}
exec:
  command: {{ list "varved" "health" "--config" "/etc/varve/varved.toml" .flag | compact | toJson }}
{{- else -}}
grpc:
  port: 7780
{{- end }}
{{- end }}

{{/* The whole of what a container of ours may do. */}}
{{- define "varve.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
readOnlyRootFilesystem: true
{{- end }}

{{- define "varve.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}
