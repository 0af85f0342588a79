package manifests

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	core "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

func TestMain(m *testing.M) {
	flag.Parse()
	log.SetOutput(io.Discard) // Helm says of each chart loaded that it has a link in it
	os.Exit(m.Run())
}

var update = flag.Bool("update", false, "write the files that are rendered from the chart")

// The chart's values files, "" for the defaults, and the folder of deploy/kubernetes that must come to
// the same.
var deployments = map[string]string{
	"":                       "base",
	"values-dev.yaml":        "overlays/dev",
	"values-production.yaml": "overlays/production",
}

// Further values, each over a values file, that must render too.
var variants = map[string][2]string{
	"client certificates": {"values-production.yaml", "tls: {clientCertificates: true}"},
	"every list and map": {"values-production.yaml", `
imagePullSecrets: [registry]
podAnnotations: {a: b}
nodeSelector: {disk: ssd}
tolerations: [{key: dedicated, operator: Exists}]
affinity: {nodeAffinity: {}}
priorityClassName: high
storage: {className: fast}
service: {type: LoadBalancer, port: 443, annotations: {a: b}}
monitoring: {labels: {release: prometheus}}
config: {log-level: debug, max-calls: 2048}`},
	"TLS without keys":  {"", "auth: {enabled: false}\nallowInsecure: true"},
	"keys without TLS":  {"values-production.yaml", "tls: {enabled: false}\nallowInsecure: true"},
	"IPv6 and a tag":    {"values-dev.yaml", "address: '::'\nimage: {repository: localhost/varve, tag: '7'}"},
	"memory in MiB":     {"", "memoryBudgetMib: 750\nresources: {limits: {memory: 1000Mi}, requests: {memory: 1000Mi}}"},
	"no drain, no wait": {"", "drainSeconds: 0\npreStopSeconds: 0"},
}

func values(t *testing.T, file, over string) map[string]interface{} {
	t.Helper()
	read, err := readValues(file)
	if err != nil {
		t.Fatal(err)
	}
	more := map[string]interface{}{}
	if err := yaml.Unmarshal([]byte(over), &more); err != nil {
		t.Fatal(err)
	}
	return merged(read, more)
}

func merged(into, from map[string]interface{}) map[string]interface{} {
	for name, value := range from {
		inner, isMap := value.(map[string]interface{})
		outer, wasMap := into[name].(map[string]interface{})
		if isMap && wasMap {
			value = merged(outer, inner)
		}
		into[name] = value
	}
	return into
}

func rendered(t *testing.T, file, over string) []byte {
	t.Helper()
	templates, err := renderChart(values(t, file, over))
	if err != nil {
		t.Fatal(err)
	}
	return joined(templates)
}

func mustHold(t *testing.T, text []byte) *objects {
	t.Helper()
	decoded, err := decode(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems(decoded) {
		t.Error(problem)
	}
	return decoded
}

func TestTheChartPassesHelmLint(t *testing.T) {
	for file := range deployments {
		result := lint.All(chartDir, values(t, file, ""), "varve", true)
		for _, message := range result.Messages {
			if message.Severity > support.InfoSev {
				t.Errorf("%q: %s", file, message)
			}
		}
	}
}

func TestEveryObjectOfTheChartIsWhatTheApiTakesAndFitsTheOthers(t *testing.T) {
	counts := map[string]int{"": 4, "values-dev.yaml": 4, "values-production.yaml": 9}
	for file := range deployments {
		t.Run("values "+file, func(t *testing.T) {
			decoded := mustHold(t, rendered(t, file, ""))
			if len(decoded.all) != counts[file] {
				t.Errorf("%d objects, not %d", len(decoded.all), counts[file])
			}
		})
	}
	for name, variant := range variants {
		t.Run(name, func(t *testing.T) { mustHold(t, rendered(t, variant[0], variant[1])) })
	}
}

func TestRenderedFilesAreThoseOfTheChart(t *testing.T) {
	for _, file := range renderedFiles {
		wanted, err := file.content()
		if err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := file.write(wanted); err != nil {
				t.Fatal(err)
			}
		}
		found, err := file.read()
		if err != nil {
			t.Error(err)
		} else if !bytes.Equal(found, wanted) {
			t.Errorf("%s is not what the chart gives: run deploy/kubernetes/render.sh", file.path)
		}
	}
}

// The name that kustomize gives to a ConfigMap of these settings.
var hashedName = regexp.MustCompile(`\bvarve-[2456789bcdfghkmt]{10}\b`)

func TestKustomizationsGiveTheSameObjectsAsTheChart(t *testing.T) {
	for file, folder := range deployments {
		t.Run(folder, func(t *testing.T) {
			built, err := buildKustomization(folder)
			if err != nil {
				t.Fatal(err)
			}
			mustHold(t, built)
			names := map[string]bool{}
			for _, name := range hashedName.FindAllString(string(built), -1) {
				names[name] = true
			}
			if len(names) != 1 {
				t.Errorf("the ConfigMap and those who name it disagree: %v", names)
			}
			found := byName(t, hashedName.ReplaceAll(built, []byte("varve")))
			wanted := byName(t, rendered(t, file, ""))
			for name, object := range wanted {
				if !reflect.DeepEqual(found[name], object) {
					t.Errorf("%s: kustomize gives\n%s\nthe chart\n%s", name, text(t, found[name]), text(t, object))
				}
				delete(found, name)
			}
			for name := range found {
				t.Errorf("%s is in the kustomization alone", name)
			}
		})
	}
}

// Objects by kind and name, without what Helm or kustomize alone adds.
func byName(t *testing.T, documents []byte) map[string]map[string]interface{} {
	t.Helper()
	all, err := generic(documents)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]map[string]interface{}{}
	for _, object := range all {
		metadata := object["metadata"].(map[string]interface{})
		delete(metadata, "namespace")
		if data, ok := object["data"].(map[string]interface{}); ok {
			data["varved.toml"] = strings.TrimPrefix(data["varved.toml"].(string), renderedHeader)
		}
		found[fmt.Sprint(object["kind"], " ", metadata["name"])] = object
	}
	return found
}

func text(t *testing.T, object map[string]interface{}) string {
	t.Helper()
	marshalled, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return string(marshalled)
}

// Names, types, ranges, and how settings go together: as the server says when it reads them.
func TestTheServerTakesItsSettings(t *testing.T) {
	varved := os.Getenv("VARVED")
	if varved == "" {
		t.Skip("VARVED, the server's binary, is not set")
	}
	given := map[string]string{}
	for file := range deployments {
		given[file] = settingsOf(t, file, "")
	}
	for name, variant := range variants {
		given[name] = settingsOf(t, variant[0], variant[1])
	}
	path := filepath.Join(t.TempDir(), "varved.toml")
	taken := func(text string) (bool, string) {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		printed, err := exec.Command(varved, "--config", path, "--print-config").CombinedOutput()
		return err == nil, string(printed)
	}
	for name, text := range given {
		if ok, printed := taken(text); !ok {
			t.Errorf("%q: the server refuses\n%s%s", name, text, printed)
		}
		if ok, _ := taken(text + "\nno-such-setting = 1\n"); ok {
			t.Errorf("%q: the server takes a setting that does not exist", name)
		}
	}
}

func settingsOf(t *testing.T, file, over string) string {
	t.Helper()
	decoded, err := decode(rendered(t, file, over))
	if err != nil {
		t.Fatal(err)
	}
	return decoded.configMaps[0].Data["varved.toml"]
}

func TestTheChartSaysTheVersionOfTheServer(t *testing.T) {
	header, err := os.ReadFile(root + "/server/version.h")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`kVersion = "(.*)"`).FindSubmatch(header)
	chart, err := loader.Load(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	if got := chart.Metadata.AppVersion; version == nil || got != string(version[1]) {
		t.Errorf("the chart's appVersion is %s, the server's version %s", got, version)
	}
}

func TestEveryAlertIsInThePrometheusRule(t *testing.T) {
	alerts, err := os.ReadFile(root + "/deploy/monitoring/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	wanted := map[string]interface{}{}
	if err := yaml.Unmarshal(alerts, &wanted); err != nil {
		t.Fatal(err)
	}
	rule := byName(t, rendered(t, "values-production.yaml", ""))["PrometheusRule varve"]
	if !reflect.DeepEqual(rule["spec"], interface{}(wanted)) {
		t.Errorf("the PrometheusRule has\n%s", text(t, rule))
	}
}

func TestValuesThatAreWrongAreRefused(t *testing.T) {
	for over, complaint := range map[string]string{
		"imag: {}":                                          "imag is not allowed",
		"tls: {enable: true}":                               "enable is not allowed",
		"tls: {enabled: 'yes'}":                             "tls.enabled",
		"memoryBudgetMib: 3Gi":                              "memoryBudgetMib",
		"memoryBudgetMib: 100":                              "memoryBudgetMib",
		"resources: {limits: {memory: 4G}}":                 "resources.limits.memory",
		"resources: {limits: {memory: null}}":               "memory is required",
		"config: {tls-cert: /elsewhere}":                    "config",
		"config: {port: 1}":                                 "config",
		"config: {logLevel: debug}":                         "config",
		"config: {log-level: [debug]}":                      "config.log-level",
		"address: example.com":                              "address",
		"service: {type: Local}":                            "service.type",
		"storage: {accessMode: ReadWriteMany}":              "storage.accessMode",
		"snapshots: {keep: 0}":                              "snapshots.keep",
		"snapshots: {schedule: daily}":                      "snapshots.schedule",
		"podDisruptionBudget: {maxUnavailable: -1}":         "podDisruptionBudget.maxUnavailable",
		"auth: {enabled: false}":                            "tls.enabled and auth.enabled must both be true, or allowInsecure",
		"tls: {enabled: false}":                             "tls.enabled and auth.enabled must both be true, or allowInsecure",
		"memoryBudgetMib: 4097":                             "resources.limits.memory is 4096 MiB: less than memoryBudgetMib, 4097",
		"resources: {limits: {memory: 2Gi}}":                "resources.limits.memory is 2048 MiB",
		"networkPolicy: {enabled: true, clients: everyone}": "networkPolicy.clients",
	} {
		_, err := renderChart(values(t, "", over))
		if err == nil {
			t.Errorf("%s: is taken", over)
		} else if !strings.Contains(err.Error(), complaint) {
			t.Errorf("%s: the error does not say %q: %v", over, complaint, err)
		}
	}
}

// The rules themselves: each of these changes to one template of a sound deployment must be found, by
// this complaint.
func TestADeploymentThatDoesNotFitTogetherIsFound(t *testing.T) {
	const health = `command: ["varved","health","--config","/etc/varve/varved.toml"]`
	for template, mutations := range map[string][]struct{ old, new, complaint string }{
		"statefulset.yaml": {
			{"readOnlyRootFilesystem: true", "readOnlyRootFilesystems: true", `unknown field "spec.template.spec.containers[0].securityContext.readOnlyRootFilesystems"`},
			{"replicas: 1", "replicas: 1\n  replicas: 1", `key "replicas" already set`},
			{"kind: StatefulSet", "kind: StatefulSets", `no kind "StatefulSets"`},
			{"replicas: 1", "replicas: 2", "must have one replica"},
			{"readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "its root is not read-only"},
			{"allowPrivilegeEscalation: false", "# gone", "may gain privileges"},
			{"drop: [ALL]", "drop: [ALL]\n              add: [SYS_ADMIN]", "keeps capabilities"},
			{"runAsNonRoot: true", "# gone", "runAsNonRoot is not set"},
			{"fsGroup: 10001", "fsGroup: 0", "fsGroup is not the image's"},
			{"type: RuntimeDefault", "type: Unconfined", "seccomp is not RuntimeDefault"},
			{"automountServiceAccountToken: false", "# gone", "a service account's token is mounted"},
			{"enableServiceLinks: false", "# gone", "service links would set VARVE_PORT"},
			{"app.kubernetes.io/component: server\n  template", "app.kubernetes.io/component: other\n  template", "does not select its own pods"},
			{"serviceName: varve-headless", "serviceName: varve", "serviceName is not varve-headless"},
			{"memory: 32Gi", "memory: 25Gi", "leaves less than a quarter"},
			{"mountPath: /etc/varve-tls", "mountPath: /etc/tls", "tls-cert /etc/varve-tls/tls.crt is not mounted"},
			{"mountPath: /etc/varve-keys", "mountPath: /etc/varve-keys\n              subPath: a", "has a subPath"},
			{"- name: keys\n              mountPath", "- name: key\n              mountPath", "mounts key, which is no volume"},
			{"- name: keys\n              mountPath: /etc/varve-keys\n              readOnly: true", "# gone", "volume keys is mounted nowhere"},
			{"name: varve\n        - name: tls", "name: varved\n        - name: tls", "is in no ConfigMap that is mounted"},
			{`"--live"`, `"--dead"`, "the liveness probe runs"},
			{"exec:\n              " + health, "grpc:\n              port: 7780", "speaks gRPC without TLS, the server with"},
			{"startupProbe:\n            exec:\n              " + health, "startupProbe:\n            tcpSocket:\n              port: 7780", "startup probe neither speaks gRPC"},
			{"terminationGracePeriodSeconds: 53", "terminationGracePeriodSeconds: 40", "has no room for"},
			{"image: varve:0.1.0", "image: varve:latest", "has no version"},
		},
		"configmap.yaml": {
			{"memory-budget-mib = 24576", "max-calls = 1", "there is no memory budget"},
			{"http-port = 7781", "http-port = 7782", "http-port is not the container's http port"},
			{`data-dir = "/var/lib/varve/data"`, `data-dir = "/data"`, "data-dir /data is not mounted"},
			{`data-dir = "/var/lib/varve/data"`, `data-dir = "/var/lib/varve"`, "may hold a lost+found"},
			{`data-dir = "/var/lib/varve/data"`, `data-dir = "/etc/varve/data"`, "is mounted with readOnly true"},
			{`api-keys = "/etc/varve-keys/keys.json"`, "", "there is no api-keys, and no allow-insecure"},
			{`address = "0.0.0.0"`, `address = "127.0.0.1"`, "is not that of every interface"},
			{"drain-seconds = 30", "drain-seconds = 60", "has no room for"},
			{"port = 7780", "port = ", "has no good /etc/varve/varved.toml"},
			{"app.kubernetes.io/instance: varve", "a: b", "has no label app.kubernetes.io/instance"},
		},
		"services.yaml": {
			{"targetPort: http", "targetPort: metrics", "the server has no port metrics"},
			{"selector:\n    app.kubernetes.io/name: varve", "selector:\n    app.kubernetes.io/name: other", "Service varve does not select the server"},
			{"clusterIP: None", "# gone", "there are 0 headless Services"},
			{"name: varve-headless", "name: varve", "is there twice"},
		},
		"networkpolicy.yaml": {
			{"- port: http", "- port: https", "which the server does not have"},
			{"matchLabels:\n      app.kubernetes.io/name: varve", "matchLabels:\n      app.kubernetes.io/name: other", "NetworkPolicy does not select the server"},
			{"app.kubernetes.io/component: snapshot", "app.kubernetes.io/component: other", "keeps snapshots out"},
			{"policyTypes: [Ingress, Egress]", "policyTypes: [Ingress]", "lets the server call out"},
		},
		"poddisruptionbudget.yaml": {
			{"matchLabels:\n      app.kubernetes.io/name: varve", "matchLabels:\n      app.kubernetes.io/name: other", "PodDisruptionBudget does not select the server"},
		},
		"monitoring.yaml": {
			{"interval: 30s", "every: 30s", `unknown field "spec.endpoints[0].every"`},
			{"port: http", "port: metrics", `the ServiceMonitor's port "metrics" is that of 0 Services`},
			{"port: http", "port: grpc", `the ServiceMonitor's port "grpc" is that of 2 Services`},
			{"alert:", "alarm:", `unknown field "spec.groups[`},
		},
		"snapshots.yaml": {
			{"app.kubernetes.io/component: snapshot", "app.kubernetes.io/component: server", "selects the pods of snapshots"},
			{"value: varve:7780", "value: varve:7781", "is no Service's grpc port"},
			{"readOnlyRootFilesystem: true", "# gone", "CronJob: its root is not read-only"},
			{"name: VARVE_API_KEY", "name: VARVE_KEY", "key does not go with the server's auth"},
		},
	} {
		for _, mutation := range mutations {
			templates, err := renderChart(values(t, "values-production.yaml", ""))
			if err != nil {
				t.Fatal(err)
			}
			sound := string(templates[template])
			broken := strings.Replace(sound, mutation.old, mutation.new, 1)
			if broken == sound {
				t.Errorf("%s: %q is not in it", template, mutation.old)
				continue
			}
			templates[template] = []byte(broken)
			found := strings.Join(complaints(joined(templates)), "\n")
			if !strings.Contains(found, mutation.complaint) {
				t.Errorf("%s: %q -> %q: not %q but %q", template, mutation.old, mutation.new, mutation.complaint, found)
			}
		}
	}
}

func complaints(text []byte) []string {
	decoded, err := decode(text)
	if err != nil {
		return []string{err.Error()}
	}
	return problems(decoded)
}

func TestTheServersPrivateKeyIsNotGivenToSnapshots(t *testing.T) {
	decoded := mustHold(t, rendered(t, "values-production.yaml", ""))
	for _, volume := range decoded.cronJobs[0].Spec.JobTemplate.Spec.Template.Spec.Volumes {
		if !reflect.DeepEqual(volume.Secret.Items, []core.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}}) {
			t.Errorf("volume %s has %v", volume.Name, volume.Secret.Items)
		}
	}
}
