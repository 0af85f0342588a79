package manifests

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/shlex"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/strvals"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/kubectl/pkg/cmd/create"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
)

// What docs/kubernetes.md has a reader type, except for its blocks marked `sh`, which tests/docs runs: all
// of it in order, in a folder that looks like a checkout, as far as it goes without a cluster. What would be
// sent to one is decoded strictly, and has to be what the pods need. A command of a kind that run does not
// know is an error.
func TestTheCommandsOfTheDocumentWork(t *testing.T) {
	varved := os.Getenv("VARVED")
	if varved == "" {
		t.Skip("VARVED, the server's binary, is not set")
	}
	folder := t.TempDir()
	t.Setenv("PATH", filepath.Dir(varved)+":"+os.Getenv("PATH"))
	t.Setenv("HOME", folder)
	t.Setenv("KUBECONFIG", os.DevNull) // nobody's clusters
	text, err := os.ReadFile(root + "/docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(root+"/deploy", filepath.Join(folder, "deploy")); err != nil {
		t.Fatal(err)
	}
	// The reader's own.
	if err := os.WriteFile(filepath.Join(folder, "mine.yaml"), []byte("priorityClassName: high\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	before := absolute(".")
	defer os.Chdir(before)
	if err := os.Chdir(folder); err != nil {
		t.Fatal(err)
	}

	c := &cluster{secrets: map[string]bool{}, needed: map[string]bool{}, namespaces: map[string]bool{}}
	server := httptest.NewServer(c)
	defer server.Close()
	c.url = server.URL
	for _, block := range regexp.MustCompile("(?ms)^```console\n(.*?)^```$").FindAllSubmatch(text, -1) {
		for _, line := range strings.Split(strings.ReplaceAll(string(block[1]), "\\\n", ""), "\n") {
			if err := c.runLine(line); err != nil {
				t.Errorf("%s\n%v", line, err)
			}
		}
	}
	if !reflect.DeepEqual(c.secrets, c.needed) {
		t.Errorf("the commands make the Secrets and keys\n%v, the pods need\n%v", c.secrets, c.needed)
	}
	if len(c.namespaces) != 1 {
		t.Errorf("there is not one namespace, but %v", c.namespaces)
	}
}

// cluster is what the commands would have made of a cluster. It answers, over HTTP, what `kubectl create
// job --from` asks of one.
type cluster struct {
	url        string
	namespaces map[string]bool // made or used
	secrets    map[string]bool // NAME/KEY
	needed     map[string]bool // the same, of those that pods read
	cronJobs   []*batch.CronJob
}

func (c *cluster) runLine(line string) error {
	words, err := shlex.Split(line) // without the comment
	if err != nil || len(words) == 0 {
		return err
	}
	if words[0] == "varved" || words[0] == "openssl" {
		return bash(line)
	}
	var output []byte
	begin := 0
	for i := range append(words, "|") {
		if i == len(words) || words[i] == "|" {
			if output, err = c.run(words[begin:i], output); err != nil {
				return err
			}
			begin = i + 1
		}
	}
	return nil
}

// run gives what the command prints for the next one of a pipe.
func (c *cluster) run(words []string, input []byte) ([]byte, error) {
	switch words[0] {
	case "kubectl":
		return c.kubectl(words[1:], input)
	case "helm":
		return nil, c.helm(words[1:])
	case "docker": // it is not here; other tests read its files
		flags := pflag.NewFlagSet("docker", pflag.ContinueOnError)
		file := flags.StringP("file", "f", "", "")
		flags.StringP("tag", "t", "", "")
		flags.Bool("build", false, "")
		if err := flags.Parse(words[1:]); err != nil {
			return nil, err
		}
		_, err := os.Stat(*file)
		return nil, err
	case "deploy/docker/build.sh": // another test has it build; it reads its options in order
		printed, err := exec.Command(words[0], append(words[1:], "--help")...).CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("%w: %s", err, printed)
		}
		return nil, nil
	}
	return nil, fmt.Errorf("this test does not know how to run %s", words[0])
}

func bash(line string) error {
	printed, err := exec.Command("bash", "-euo", "pipefail", "-c", line).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, printed)
	}
	return nil
}

// helm is `helm install varve CHART`; chart and values are read by Helm's code.
func (c *cluster) helm(words []string) error {
	flags := pflag.NewFlagSet("helm", pflag.ContinueOnError)
	namespace := flags.StringP("namespace", "n", "", "")
	files := flags.StringArrayP("values", "f", nil, "")
	sets := flags.StringArray("set", nil, "")
	if err := flags.Parse(words); err != nil {
		return err
	}
	if arguments := strings.Join(flags.Args(), " "); arguments != "install varve deploy/helm/varve" {
		return fmt.Errorf("this test does not know helm %s", arguments)
	}
	c.namespaces[*namespace] = true
	values := map[string]interface{}{}
	for _, file := range *files {
		read, err := chartutil.ReadValuesFile(file)
		if err != nil {
			return err
		}
		values = merged(values, read)
	}
	for _, set := range *sets {
		if err := strvals.ParseInto(set, values); err != nil {
			return err
		}
	}
	templates, err := renderChart(values)
	if err != nil {
		return err
	}
	return c.deploy(joined(templates))
}

// kubectl is kubectl's own `create`, which prints what it would send, and what is needed of `apply`.
func (c *cluster) kubectl(words []string, input []byte) (output []byte, err error) {
	cmdutil.BehaviorOnFatal(func(message string, _ int) { panic(message) })
	defer cmdutil.DefaultBehaviorOnFatal()
	defer func() {
		if fatal := recover(); fatal != nil {
			err = fmt.Errorf("%v", fatal)
		}
	}()
	streams, _, printed, _ := genericclioptions.NewTestIOStreams()
	config := genericclioptions.NewConfigFlags(true)
	kubectl := &cobra.Command{Use: "kubectl", SilenceUsage: true, SilenceErrors: true}
	config.AddFlags(kubectl.PersistentFlags())
	apply := &cobra.Command{Use: "apply", Args: cobra.NoArgs}
	file := apply.Flags().StringP("filename", "f", "", "")
	folder := apply.Flags().StringP("kustomize", "k", "", "")
	apply.RunE = func(*cobra.Command, []string) error {
		if *file == "-" {
			return c.made(input)
		}
		built, err := buildKustomization(strings.TrimPrefix(*folder, "deploy/kubernetes/"))
		if err != nil {
			return err
		}
		return c.deploy(built)
	}
	kubectl.AddCommand(create.NewCmdCreate(cmdutil.NewFactory(config), streams), apply)
	words = append([]string{"--server", c.url}, words...)
	command, _, err := kubectl.Find(words)
	if err != nil {
		return nil, err
	}
	if command != apply && !strings.Contains(strings.Join(words, " "), " --dry-run") {
		words = append(words, "--dry-run=client", "--output=yaml")
	}
	kubectl.SetArgs(words)
	if err := kubectl.Execute(); err != nil {
		return nil, err
	}
	if *config.Namespace != "" {
		c.namespaces[*config.Namespace] = true
	}
	if command != apply {
		err = c.made(printed.Bytes())
	}
	return printed.Bytes(), err
}

// made checks and remembers what `kubectl create` prints.
func (c *cluster) made(text []byte) error {
	object, kind, err := decoder.Decode(text, nil, nil)
	if err != nil {
		return fmt.Errorf("%w in:\n%s", err, text)
	}
	switch object := object.(type) {
	case *core.Namespace:
		c.namespaces[object.Name] = true
	case *core.Secret:
		for key := range object.Data {
			c.secrets[object.Name+"/"+key] = true
		}
	case *batch.Job:
	default:
		return fmt.Errorf("this test knows no %s", kind.Kind)
	}
	return nil
}

// deploy checks and remembers a whole deployment.
func (c *cluster) deploy(text []byte) error {
	deployment, err := decode(text)
	if err != nil {
		return err
	}
	if found := problems(deployment); len(found) > 0 {
		return errors.New(strings.Join(found, "\n"))
	}
	c.cronJobs = append(c.cronJobs, deployment.cronJobs...)
	for _, set := range deployment.statefulSets {
		pod := set.Spec.Template.Spec
		config := (&rules{objects: deployment}).readSettings(pod, pod.Containers[0])
		c.need(pod, config.text("tls-cert"), config.text("tls-key"), config.text("tls-client-ca"), config.text("api-keys"))
	}
	for _, job := range deployment.cronJobs {
		c.need(job.Spec.JobTemplate.Spec.Template.Spec)
	}
	return nil
}

// need remembers which Secrets a pod reads: these files, and those in the environment.
func (c *cluster) need(pod core.PodSpec, files ...string) {
	container := pod.Containers[0]
	for _, variable := range container.Env {
		files = append(files, variable.Value)
		if from := variable.ValueFrom; from != nil && from.SecretKeyRef != nil {
			c.needed[from.SecretKeyRef.Name+"/"+from.SecretKeyRef.Key] = true
		}
	}
	for _, file := range files {
		mount := mountOf(container, file)
		for _, volume := range pod.Volumes {
			if mount != nil && volume.Name == mount.Name && volume.Secret != nil {
				c.needed[volume.Secret.SecretName+"/"+path.Base(file)] = true
			}
		}
	}
}

func (c *cluster) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	version := metav1.GroupVersionForDiscovery{GroupVersion: "batch/v1", Version: "v1"}
	answers := map[string]interface{}{
		"/api": metav1.APIVersions{Versions: []string{}},
		"/apis": metav1.APIGroupList{Groups: []metav1.APIGroup{
			{Name: "batch", Versions: []metav1.GroupVersionForDiscovery{version}, PreferredVersion: version},
		}},
		"/apis/batch/v1": metav1.APIResourceList{GroupVersion: "batch/v1", APIResources: []metav1.APIResource{
			{Name: "cronjobs", SingularName: "cronjob", Namespaced: true, Kind: "CronJob", Verbs: metav1.Verbs{"get"}},
		}},
	}
	for _, job := range c.cronJobs {
		answers["/apis/batch/v1/namespaces/varve/cronjobs/"+job.Name] = job
	}
	answer, ok := answers[request.URL.Path]
	if !ok {
		http.NotFound(writer, request)
		return
	}
	writer.Header().Set("Content-Type", "application/json")
	json.NewEncoder(writer).Encode(answer)
}
