package manifests

import (
	"fmt"
	"net"
	"path"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// settings is what varved's file says.
type settings map[string]interface{}

func (s settings) number(name string) int {
	value, _ := s[name].(int64)
	return int(value)
}

func (s settings) text(name string) string {
	value, _ := s[name].(string)
	return value
}

// rules collects what is wrong with a deployment: that its objects are what the API takes, and still do
// not fit together.
type rules struct {
	*objects
	problems []string
}

// problems says what is wrong; nothing, when all is well.
func problems(o *objects) []string {
	r := &rules{objects: o}
	r.checkNames()
	if len(o.statefulSets) != 1 {
		return append(r.problems, fmt.Sprintf("there are %d StatefulSets, not one", len(o.statefulSets)))
	}
	r.checkServer()
	r.checkPod("StatefulSet", o.statefulSets[0].Spec.Template, o.statefulSets[0].Spec.VolumeClaimTemplates)
	r.checkServices()
	r.checkCronJobs()
	r.checkSelectors()
	r.checkMonitoring()
	return r.problems
}

func (r *rules) want(holds bool, format string, values ...interface{}) {
	if !holds {
		r.problems = append(r.problems, fmt.Sprintf(format, values...))
	}
}

func (r *rules) checkNames() {
	seen := map[string]bool{}
	for _, object := range r.all {
		accessor, err := meta.Accessor(object)
		if err != nil {
			r.want(false, "%v", err)
			continue
		}
		name := fmt.Sprintf("%T %s", object, accessor.GetName())
		r.want(!seen[name], "%s is there twice", name)
		seen[name] = true
		for _, label := range []string{"name", "instance", "component", "version"} {
			label = "app.kubernetes.io/" + label
			r.want(accessor.GetLabels()[label] != "", "%s has no label %s", name, label)
		}
	}
}

// server gives the pod's template and its only container.
func (r *rules) server() (core.PodTemplateSpec, core.Container) {
	template := r.statefulSets[0].Spec.Template
	return template, template.Spec.Containers[0]
}

func (r *rules) checkServer() {
	set := r.statefulSets[0]
	template, container := r.server()
	r.want(set.Spec.Replicas != nil && *set.Spec.Replicas == 1, "the StatefulSet must have one replica")
	r.want(selects(set.Spec.Selector, template.Labels), "the StatefulSet does not select its own pods")
	r.want(len(set.Spec.VolumeClaimTemplates) == 1, "the StatefulSet must claim one volume")

	config := r.readSettings(template.Spec, container)
	r.want(config.number("port") == containerPort(container, "grpc"), "port is not the container's grpc port")
	r.want(config.number("http-port") == containerPort(container, "http"), "http-port is not the container's http port")
	address := net.ParseIP(config.text("address"))
	r.want(address != nil && address.IsUnspecified(), "address %q is not that of every interface", config.text("address"))
	r.checkMemory(config, container)
	r.checkStop(config, template.Spec, container)
	r.checkFiles(config, container)
	for name, probe := range map[string]*core.Probe{
		"startup": container.StartupProbe, "liveness": container.LivenessProbe, "readiness": container.ReadinessProbe,
	} {
		r.checkProbe(name, probe, config, container)
	}
}

// readSettings follows --config through the container's mounts into the ConfigMap.
func (r *rules) readSettings(pod core.PodSpec, container core.Container) settings {
	config := settings{}
	if len(container.Args) != 2 || container.Args[0] != "--config" {
		r.want(false, "the server's arguments are %q, not --config FILE", container.Args)
		return config
	}
	mount := mountOf(container, container.Args[1])
	for _, volume := range pod.Volumes {
		if mount == nil || volume.Name != mount.Name || volume.ConfigMap == nil {
			continue
		}
		for _, object := range r.configMaps {
			if object.Name == volume.ConfigMap.Name {
				text, ok := object.Data[path.Base(container.Args[1])]
				_, err := toml.Decode(text, &config)
				r.want(ok && err == nil, "the ConfigMap has no good %s: %v", container.Args[1], err)
				return config
			}
		}
	}
	r.want(false, "%s is in no ConfigMap that is mounted", container.Args[1])
	return config
}

func (r *rules) checkMemory(config settings, container core.Container) {
	budget := config.number("memory-budget-mib")
	limit := int(container.Resources.Limits.Memory().Value() >> 20)
	request := int(container.Resources.Requests.Memory().Value() >> 20)
	r.want(budget > 0, "there is no memory budget")
	r.want(limit*3 >= budget*4, "the memory limit, %d MiB, leaves less than a quarter beside the budget, %d", limit, budget)
	r.want(request == limit, "the memory requested, %d MiB, is not the limit, %d", request, limit)
}

func (r *rules) checkStop(config settings, pod core.PodSpec, container core.Container) {
	if container.Lifecycle == nil || container.Lifecycle.PreStop == nil || container.Lifecycle.PreStop.Exec == nil ||
		len(container.Lifecycle.PreStop.Exec.Command) != 2 || pod.TerminationGracePeriodSeconds == nil {
		r.want(false, "there must be a preStop hook that sleeps, and a termination grace period")
		return
	}
	sleep, err := strconv.Atoi(container.Lifecycle.PreStop.Exec.Command[1])
	drain := config.number("drain-seconds")
	grace := int(*pod.TerminationGracePeriodSeconds)
	r.want(err == nil && grace >= sleep+drain+10,
		"the grace of %d s has no room for a sleep of %d s, a drain of %d s and the end", grace, sleep, drain)
}

// Every file and folder of the settings must be mounted, and the data's so that it can be written.
func (r *rules) checkFiles(config settings, container core.Container) {
	secret := []string{"tls-cert", "tls-key", "api-keys"}
	insecure, _ := config["allow-insecure"].(bool)
	for _, name := range append(secret, "tls-client-ca", "data-dir") {
		file := config.text(name)
		if file == "" {
			r.want(name == "tls-client-ca" || (insecure && name != "data-dir"), "there is no %s, and no allow-insecure", name)
			continue
		}
		mount := mountOf(container, file)
		r.want(mount != nil, "%s %s is not mounted", name, file)
		r.want(mount == nil || mount.ReadOnly == (name != "data-dir"), "%s %s is mounted with readOnly %v",
			name, file, mount != nil && mount.ReadOnly)
		r.want(mount == nil || mount.SubPath == "", "%s %s would not see its Secret change: it has a subPath", name, file)
		r.want(mount == nil || name != "data-dir" || mount.MountPath != file,
			"data-dir %s is the volume's own root, which may hold a lost+found", file)
	}
}

func (r *rules) checkProbe(name string, probe *core.Probe, config settings, container core.Container) {
	if probe == nil {
		r.want(false, "there is no %s probe", name)
		return
	}
	switch {
	case probe.GRPC != nil:
		r.want(config.text("tls-cert") == "", "the %s probe speaks gRPC without TLS, the server with", name)
		r.want(int(probe.GRPC.Port) == containerPort(container, "grpc"), "the %s probe's port is not the server's", name)
		r.want(probe.Exec == nil, "the %s probe has two actions", name)
	case probe.Exec != nil:
		wanted := append([]string{"varved", "health"}, container.Args...)
		if name == "liveness" {
			wanted = append(wanted, "--live")
		}
		r.want(strings.Join(probe.Exec.Command, " ") == strings.Join(wanted, " "),
			"the %s probe runs %q, not %q", name, probe.Exec.Command, wanted)
		r.want(probe.TimeoutSeconds > 3, "the %s probe's timeout is not above that of varved health", name)
	default:
		r.want(false, "the %s probe neither speaks gRPC nor runs varved health", name)
	}
}

func (r *rules) checkPod(owner string, template core.PodTemplateSpec, claims []core.PersistentVolumeClaim) {
	pod := template.Spec
	security := pod.SecurityContext
	r.want(security != nil && isTrue(security.RunAsNonRoot), "%s: runAsNonRoot is not set", owner)
	r.want(security != nil && security.RunAsUser != nil && *security.RunAsUser == 10001, "%s: runAsUser is not the image's", owner)
	r.want(security != nil && security.FSGroup != nil && *security.FSGroup == 10001, "%s: fsGroup is not the image's", owner)
	r.want(security != nil && security.SeccompProfile != nil && security.SeccompProfile.Type == core.SeccompProfileTypeRuntimeDefault,
		"%s: seccomp is not RuntimeDefault", owner)
	r.want(isFalse(pod.AutomountServiceAccountToken), "%s: a service account's token is mounted", owner)
	r.want(isFalse(pod.EnableServiceLinks), "%s: service links would set VARVE_PORT", owner)
	r.want(!pod.HostNetwork && !pod.HostPID && !pod.HostIPC, "%s: shares something with its host", owner)
	volumes := map[string]bool{}
	for _, volume := range pod.Volumes {
		volumes[volume.Name] = false
	}
	for _, claim := range claims {
		volumes[claim.Name] = false
	}
	r.want(len(pod.Containers) == 1, "%s: has %d containers, not one", owner, len(pod.Containers))
	for _, container := range pod.Containers {
		r.checkContainer(owner, container)
		for _, mount := range container.VolumeMounts {
			_, ok := volumes[mount.Name]
			r.want(ok, "%s: mounts %s, which is no volume", owner, mount.Name)
			volumes[mount.Name] = true
		}
	}
	for name, used := range volumes {
		r.want(used, "%s: volume %s is mounted nowhere", owner, name)
	}
}

func (r *rules) checkContainer(owner string, container core.Container) {
	security := container.SecurityContext
	r.want(security != nil && isFalse(security.AllowPrivilegeEscalation), "%s: may gain privileges", owner)
	r.want(security != nil && isTrue(security.ReadOnlyRootFilesystem), "%s: its root is not read-only", owner)
	r.want(security != nil && security.Capabilities != nil && len(security.Capabilities.Add) == 0 &&
		len(security.Capabilities.Drop) == 1 && security.Capabilities.Drop[0] == "ALL", "%s: keeps capabilities", owner)
	r.want(security == nil || !isTrue(security.Privileged), "%s: is privileged", owner)
	r.want(!container.Resources.Limits.Memory().IsZero(), "%s: has no memory limit", owner)
	r.want(!container.Resources.Requests.Memory().IsZero(), "%s: requests no memory", owner)
	r.want(!container.Resources.Requests.Cpu().IsZero(), "%s: requests no processor", owner)
	_, tag, _ := strings.Cut(container.Image, ":")
	r.want(tag != "" && tag != "latest", "%s: image %q has no version", owner, container.Image)
}

func (r *rules) checkServices() {
	template, container := r.server()
	headless := 0
	for _, service := range r.services {
		r.want(labels.SelectorFromSet(service.Spec.Selector).Matches(labels.Set(template.Labels)) && len(service.Spec.Selector) > 0,
			"Service %s does not select the server", service.Name)
		for _, port := range service.Spec.Ports {
			r.want(hasPort(container, port.TargetPort), "Service %s: the server has no port %s", service.Name, port.TargetPort.String())
		}
		if service.Spec.ClusterIP == core.ClusterIPNone {
			headless++
			r.want(service.Name == r.statefulSets[0].Spec.ServiceName, "the StatefulSet's serviceName is not %s", service.Name)
		}
	}
	r.want(headless == 1, "there are %d headless Services, not one", headless)
	r.want(len(r.services) == 2, "there are %d Services, not two", len(r.services))
}

func (r *rules) checkCronJobs() {
	for _, job := range r.cronJobs {
		template := job.Spec.JobTemplate.Spec.Template
		r.checkPod("CronJob", template, nil)
		r.want(template.Spec.RestartPolicy == core.RestartPolicyNever, "the CronJob's pod is restarted by the node too")
		_, server := r.server()
		container := template.Spec.Containers[0]
		r.want(container.Image == server.Image, "the CronJob's image is not the server's")
		environment := map[string]core.EnvVar{}
		for _, variable := range container.Env {
			environment[variable.Name] = variable
		}
		reached := false
		for _, service := range r.services {
			for _, port := range service.Spec.Ports {
				address := fmt.Sprintf("%s:%d", service.Name, port.Port)
				reached = reached || (port.Name == "grpc" && environment["VARVE_SERVER"].Value == address)
			}
		}
		r.want(reached, "the CronJob calls %q, which is no Service's grpc port", environment["VARVE_SERVER"].Value)
		config := r.readSettings(r.statefulSets[0].Spec.Template.Spec, server)
		key := environment["VARVE_API_KEY"].ValueFrom
		r.want((config.text("api-keys") != "") == (key != nil && key.SecretKeyRef != nil), "the CronJob's key does not go with the server's auth")
		authority := environment["VARVE_TLS_CA"].Value
		r.want((config.text("tls-cert") != "") == (authority != ""), "the CronJob's VARVE_TLS_CA does not go with the server's TLS")
		files := []string{authority}
		for _, word := range container.Command {
			if strings.HasPrefix(word, "--tls-") {
				_, file, _ := strings.Cut(word, "=")
				files = append(files, file)
			}
		}
		r.want((len(files) == 3) == (config.text("tls-client-ca") != ""), "the CronJob's certificate does not go with the server's tls-client-ca")
		for _, file := range files {
			r.want(file == "" || mountOf(container, file) != nil, "the CronJob's %s is not mounted", file)
		}
	}
}

// Everything that selects pods must select the server's, and not those of snapshots.
func (r *rules) checkSelectors() {
	template, container := r.server()
	selectors := map[string]*metav1.LabelSelector{"StatefulSet": r.statefulSets[0].Spec.Selector}
	for _, service := range r.services {
		selectors["Service "+service.Name] = &metav1.LabelSelector{MatchLabels: service.Spec.Selector}
	}
	for _, budget := range r.budgets {
		selectors["PodDisruptionBudget"] = budget.Spec.Selector
	}
	for _, policy := range r.networkPolicies {
		selectors["NetworkPolicy"] = &policy.Spec.PodSelector
		r.want(len(policy.Spec.PolicyTypes) == 2 && len(policy.Spec.Egress) == 0, "the NetworkPolicy lets the server call out")
		open := map[string]bool{}
		for _, rule := range policy.Spec.Ingress {
			r.want(len(rule.From) > 0, "the NetworkPolicy lets everybody in")
			for _, port := range rule.Ports {
				r.want(port.Port != nil && hasPort(container, *port.Port), "the NetworkPolicy opens port %v, which the server does not have", port.Port)
				open[port.Port.String()] = true
			}
		}
		r.want(open["grpc"] && open["http"], "the NetworkPolicy does not open both ports")
		for _, job := range r.cronJobs {
			r.want(lets(policy, job.Spec.JobTemplate.Spec.Template.Labels), "the NetworkPolicy keeps snapshots out")
		}
	}
	for owner, selector := range selectors {
		r.want(selects(selector, template.Labels), "%s does not select the server", owner)
		for _, job := range r.cronJobs {
			r.want(!selects(selector, job.Spec.JobTemplate.Spec.Template.Labels), "%s selects the pods of snapshots", owner)
		}
	}
}

func (r *rules) checkMonitoring() {
	for _, monitor := range r.serviceMonitors {
		for _, endpoint := range monitor.Spec.Endpoints {
			scraped := 0
			for _, service := range r.services {
				if !selects(&monitor.Spec.Selector, service.Labels) {
					continue
				}
				for _, port := range service.Spec.Ports {
					if port.Name == endpoint.Port {
						scraped++
					}
				}
			}
			r.want(scraped == 1, "the ServiceMonitor's port %q is that of %d Services, not of one", endpoint.Port, scraped)
		}
		r.want(len(monitor.Spec.Endpoints) == 1, "the ServiceMonitor has %d endpoints, not one", len(monitor.Spec.Endpoints))
	}
	for _, rule := range r.prometheusRules {
		alerts := 0
		for _, group := range rule.Spec.Groups {
			for _, alert := range group.Rules {
				alerts++
				r.want(alert.Alert+alert.Record != "" && alert.Expr.String() != "", "a rule of group %s has no name or no expression", group.Name)
			}
		}
		r.want(alerts > 0, "the PrometheusRule has no rules")
	}
	r.want(len(r.serviceMonitors) == len(r.prometheusRules), "there is a ServiceMonitor without a PrometheusRule, or the reverse")
}

func selects(selector *metav1.LabelSelector, set map[string]string) bool {
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && !parsed.Empty() && parsed.Matches(labels.Set(set))
}

// lets says whether pods with these labels, and not just any of the namespace, may call.
func lets(policy *networking.NetworkPolicy, set map[string]string) bool {
	for _, rule := range policy.Spec.Ingress {
		for _, peer := range rule.From {
			if rule.Ports[0].Port.String() == "grpc" && peer.PodSelector != nil && selects(peer.PodSelector, set) {
				return true
			}
		}
	}
	return false
}

func containerPort(container core.Container, name string) int {
	for _, port := range container.Ports {
		if port.Name == name {
			return int(port.ContainerPort)
		}
	}
	return -1
}

func hasPort(container core.Container, wanted intstr.IntOrString) bool {
	for _, port := range container.Ports {
		if port.Name == wanted.StrVal || int(port.ContainerPort) == wanted.IntValue() {
			return true
		}
	}
	return false
}

// mountOf gives the mount that a file or folder of the container lies in; nil, when none does.
func mountOf(container core.Container, file string) *core.VolumeMount {
	for i, mount := range container.VolumeMounts {
		if file == mount.MountPath || strings.HasPrefix(file, mount.MountPath+"/") {
			return &container.VolumeMounts[i]
		}
	}
	return nil
}

func isTrue(value *bool) bool  { return value != nil && *value }
func isFalse(value *bool) bool { return value != nil && !*value }
