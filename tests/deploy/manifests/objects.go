package manifests

import (
	"fmt"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
)

// objects is one deployment of Varve: everything that is sent to a cluster, by its type.
type objects struct {
	all             []runtime.Object
	configMaps      []*core.ConfigMap
	services        []*core.Service
	statefulSets    []*apps.StatefulSet
	cronJobs        []*batch.CronJob
	networkPolicies []*networking.NetworkPolicy
	budgets         []*policy.PodDisruptionBudget
	serviceMonitors []*monitoring.ServiceMonitor
	prometheusRules []*monitoring.PrometheusRule
}

var decoder = func() runtime.Decoder {
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		apps.AddToScheme, batch.AddToScheme, core.AddToScheme, monitoring.AddToScheme,
		networking.AddToScheme, policy.AddToScheme,
	} {
		utilruntime.Must(add(known))
	}
	return serializer.NewCodecFactory(known, serializer.EnableStrict).UniversalDeserializer()
}()

// decode reads documents into the API's types. A field that the API does not have, or that is there
// twice, is an error, as is a type that Varve's deployment has no business with.
func decode(text []byte) (*objects, error) {
	found := &objects{}
	for _, document := range documents(text) {
		object, kind, err := decoder.Decode(document, nil, nil)
		if err != nil {
			return nil, fmt.Errorf("%w in:%s", err, document)
		}
		found.all = append(found.all, object)
		switch object := object.(type) {
		case *core.ConfigMap:
			found.configMaps = append(found.configMaps, object)
		case *core.Service:
			found.services = append(found.services, object)
		case *apps.StatefulSet:
			found.statefulSets = append(found.statefulSets, object)
		case *batch.CronJob:
			found.cronJobs = append(found.cronJobs, object)
		case *networking.NetworkPolicy:
			found.networkPolicies = append(found.networkPolicies, object)
		case *policy.PodDisruptionBudget:
			found.budgets = append(found.budgets, object)
		case *monitoring.ServiceMonitor:
			found.serviceMonitors = append(found.serviceMonitors, object)
		case *monitoring.PrometheusRule:
			found.prometheusRules = append(found.prometheusRules, object)
		default:
			return nil, fmt.Errorf("no rule knows a %s", kind)
		}
	}
	return found, nil
}
