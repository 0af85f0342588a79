// Package manifests renders what is deployed to Kubernetes (the Helm chart, and the kustomize base,
// components and overlays that are made from it) with Helm's and kustomize's own code, decodes every
// object into its API type, and checks that the objects fit together.
package manifests

import (
	"bytes"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

var (
	root       = absolute("../../..") // the repository's
	chartDir   = root + "/deploy/helm/varve"
	kubernetes = root + "/deploy/kubernetes"
)

func absolute(folder string) string {
	path, err := filepath.Abs(folder)
	if err != nil {
		panic(err)
	}
	return path
}

// readValues reads a values file of the chart's folder; "" stands for the defaults alone.
func readValues(name string) (map[string]interface{}, error) {
	if name == "" {
		return map[string]interface{}{}, nil
	}
	return chartutil.ReadValuesFile(filepath.Join(chartDir, name))
}

// renderChart gives the documents of each template with these values, as `helm install varve` would
// send them.
func renderChart(values map[string]interface{}) (map[string][]byte, error) {
	chart, err := loader.Load(chartDir)
	if err != nil {
		return nil, err
	}
	release := chartutil.ReleaseOptions{Name: "varve", Namespace: "varve", Revision: 1, IsInstall: true}
	all, err := chartutil.ToRenderValues(chart, values, release, chartutil.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	texts, err := engine.Render(chart, all)
	if err != nil {
		return nil, err
	}
	templates := map[string][]byte{}
	for name, text := range texts {
		base := path.Base(name)
		if strings.HasSuffix(base, ".yaml") && strings.TrimSpace(text) != "" {
			templates[base] = []byte(text)
		}
	}
	return templates, nil
}

// buildKustomization gives the documents of a folder of deploy/kubernetes, as `kubectl apply -k` would
// send them.
func buildKustomization(folder string) ([]byte, error) {
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).
		Run(filesys.MakeFsOnDisk(), filepath.Join(kubernetes, folder))
	if err != nil {
		return nil, err
	}
	return built.AsYaml()
}

// documents splits YAML into its documents, without those that hold nothing.
func documents(text []byte) [][]byte {
	var found [][]byte
	for _, document := range bytes.Split(append([]byte("\n"), text...), []byte("\n---\n")) {
		var content interface{}
		if err := yaml.Unmarshal(document, &content); err != nil || content != nil {
			found = append(found, document) // what cannot be read is for the decoder to complain of
		}
	}
	return found
}

func joined(templates map[string][]byte) []byte {
	names := make([]string, 0, len(templates))
	for name := range templates {
		names = append(names, name)
	}
	sort.Strings(names)
	var all bytes.Buffer
	for _, name := range names {
		fmt.Fprintf(&all, "---\n%s\n", templates[name])
	}
	return all.Bytes()
}

// A file of deploy/kubernetes that is rendered from the chart.
type renderedFile struct {
	path     string // below deploy/kubernetes
	values   string // values file of the chart
	template string // what of the chart; "": the server's settings
}

var renderedFiles = []renderedFile{
	{"base/services.yaml", "", "services.yaml"},
	{"base/statefulset.yaml", "", "statefulset.yaml"},
	{"base/varved.toml", "", ""},
	{"components/disruption-budget/poddisruptionbudget.yaml", "values-production.yaml", "poddisruptionbudget.yaml"},
	{"components/monitoring/monitoring.yaml", "values-production.yaml", "monitoring.yaml"},
	{"components/network-policy/networkpolicy.yaml", "values-production.yaml", "networkpolicy.yaml"},
	{"components/snapshots/snapshots.yaml", "values-production.yaml", "snapshots.yaml"},
	{"overlays/dev/varved.toml", "values-dev.yaml", ""},
	{"overlays/production/varved.toml", "values-production.yaml", ""},
}

const renderedHeader = "# Rendered from deploy/helm/varve by deploy/kubernetes/render.sh: change the chart.\n"

// content is what the file must hold.
func (file renderedFile) content() ([]byte, error) {
	values, err := readValues(file.values)
	if err != nil {
		return nil, err
	}
	templates, err := renderChart(values)
	if err != nil {
		return nil, err
	}
	var content bytes.Buffer
	content.WriteString(renderedHeader)
	if file.template == "" {
		objects, err := generic(templates["configmap.yaml"])
		if err != nil {
			return nil, err
		}
		settings := objects[0]["data"].(map[string]interface{})["varved.toml"].(string)
		content.WriteString(settings)
		return content.Bytes(), nil
	}
	objects, err := generic(templates[file.template])
	if err != nil {
		return nil, err
	}
	for _, object := range objects {
		text, err := yaml.Marshal(object)
		if err != nil {
			return nil, err
		}
		content.WriteString("---\n")
		content.Write(text)
	}
	return content.Bytes(), nil
}

// generic reads documents without their types, and leaves out what only Helm needs.
func generic(text []byte) ([]map[string]interface{}, error) {
	var objects []map[string]interface{}
	for _, document := range documents(text) {
		object := map[string]interface{}{}
		if err := yaml.Unmarshal(document, &object); err != nil {
			return nil, err
		}
		forgetHelm(object)
		objects = append(objects, object)
	}
	return objects, nil
}

func forgetHelm(value interface{}) {
	switch value := value.(type) {
	case []interface{}:
		for _, element := range value {
			forgetHelm(element)
		}
	case map[string]interface{}:
		delete(value, "helm.sh/chart")
		delete(value, "app.kubernetes.io/managed-by")
		delete(value, "checksum/config") // kustomize puts it into the ConfigMap's name
		for key, element := range value {
			forgetHelm(element)
			if members, ok := element.(map[string]interface{}); ok && key == "annotations" && len(members) == 0 {
				delete(value, key)
			}
		}
	}
}

func (file renderedFile) read() ([]byte, error) {
	return os.ReadFile(filepath.Join(kubernetes, file.path))
}

func (file renderedFile) write(content []byte) error {
	return os.WriteFile(filepath.Join(kubernetes, file.path), content, 0o644)
}
