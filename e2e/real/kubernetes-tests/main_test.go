// Package kubernetestests is Kubernetes' own end-to-end tests of the API machinery, as a test binary.
//
// Nothing is tested here by itself: the imported package registers its tests with ginkgo, and this file does what the
// e2e binary of Kubernetes does with its flags before it runs them.
package kubernetestests

import (
	"flag"
	"os"
	"testing"

	"k8s.io/component-base/logs"
	_ "k8s.io/kubernetes/test/e2e/apimachinery"

	"k8s.io/kubernetes/test/e2e"
	"k8s.io/kubernetes/test/e2e/framework"
	"k8s.io/kubernetes/test/e2e/framework/config"
)

func TestMain(m *testing.M) {
	config.CopyFlags(config.Flags, flag.CommandLine)
	framework.RegisterCommonFlags(flag.CommandLine)
	framework.RegisterClusterFlags(flag.CommandLine)
	flag.Parse()
	framework.AfterReadingAllFlags(&framework.TestContext)
	logs.InitLogs()
	os.Exit(m.Run())
}

func TestAPIMachinery(t *testing.T) {
	e2e.RunE2ETests(t)
}
