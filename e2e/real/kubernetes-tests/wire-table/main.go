// Command wire-table prints the protobuf wire table of Kubernetes' kinds: which field has which number, which JSON name
// and which type, read from the Go types. The embedded API server reads and writes protobuf by this table:
//
//	go run ./wire-table > ../../../sandbox/apiserver/src/protobuf/table.txt
package main

import (
	"bufio"
	"fmt"
	"os"
	"reflect"
	"sort"
	"strings"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/scheme"
	apiregistration "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

// Types whose JSON form is not that of their fields, with the letter that the table gives them.
var special = map[reflect.Type]string{
	reflect.TypeFor[metav1.Time]():                                "T",
	reflect.TypeFor[metav1.MicroTime]():                           "U",
	reflect.TypeFor[metav1.Duration]():                            "D",
	reflect.TypeFor[resource.Quantity]():                          "Q",
	reflect.TypeFor[intstr.IntOrString]():                         "I",
	reflect.TypeFor[runtime.RawExtension]():                       "J",
	reflect.TypeFor[metav1.FieldsV1]():                            "J",
	reflect.TypeFor[apiextensions.JSON]():                         "J",
	reflect.TypeFor[apiextensions.JSONSchemaPropsOrArray]():       "A",
	reflect.TypeFor[apiextensions.JSONSchemaPropsOrBool]():        "B",
	reflect.TypeFor[apiextensions.JSONSchemaPropsOrStringArray](): "C",
}

var messages = map[string]string{}

func name(t reflect.Type) string {
	path := strings.Split(t.PkgPath(), "/")
	return strings.Join(path[len(path)-2:], "/") + "." + t.Name()
}

// base is the letter of a type that is neither pointer, list nor map.
func base(t reflect.Type) string {
	if letter, ok := special[t]; ok {
		return letter
	}
	switch t.Kind() {
	case reflect.String:
		return "s"
	case reflect.Bool:
		return "b"
	case reflect.Int32, reflect.Int64, reflect.Uint8:
		return "i"
	case reflect.Float64:
		return "d"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "y"
		}
		if t.Elem().Kind() == reflect.String && alone(t) {
			return "W"
		}
	case reflect.Struct:
		message(t)
		return "=" + name(t)
	}
	panic(fmt.Sprintf("%v has no place on the wire", t))
}

// alone says whether a list is a message of its own, with the list as its only field.
func alone(t reflect.Type) bool {
	_, ok := reflect.New(t).Interface().(interface{ Marshal() ([]byte, error) })
	return ok
}

func field(t reflect.Type) string {
	switch {
	case t.Kind() == reflect.Pointer:
		return "?" + base(t.Elem())
	case t.Kind() == reflect.Map:
		return "{" + base(t.Elem())
	case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8 && !alone(t):
		if t.Elem().Kind() == reflect.Pointer {
			return "*" + base(t.Elem().Elem())
		}
		return "*" + base(t.Elem())
	}
	return base(t)
}

func message(t reflect.Type) {
	if _, ok := messages[name(t)]; ok {
		return
	}
	messages[name(t)] = ""
	var fields []string
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("protobuf")
		if tag == "" {
			continue
		}
		number := strings.Split(tag, ",")[1]
		json, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if json == "-" {
			continue
		}
		if json == "" && !strings.Contains(options, "inline") {
			panic(fmt.Sprintf("%v.%s has no name in JSON", t, f.Name))
		}
		letter := field(f.Type)
		if strings.Contains("sbi", letter) && !strings.Contains(options, "omitempty") {
			// JSON shows it even when it is empty.
			letter = "!" + letter
		}
		fields = append(fields, number+":"+json+":"+letter)
	}
	messages[name(t)] = strings.Join(fields, " ")
}

func main() {
	all := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, apiextensions.AddToScheme, apiregistration.AddToScheme} {
		if err := add(all); err != nil {
			panic(err)
		}
	}
	metav1.AddMetaToScheme(all)
	var kinds []string
	for kind, t := range all.AllKnownTypes() {
		stable := !strings.Contains(kind.Version, "alpha") && !strings.Contains(kind.Version, "beta") && kind.Version != runtime.APIVersionInternal
		_, writable := reflect.New(t).Interface().(interface{ Marshal() ([]byte, error) })
		// What every group repeats is listed once, for the core group.
		repeated := strings.HasSuffix(t.PkgPath(), "/meta/v1") && kind.Group != "" && kind.Group != "meta.k8s.io"
		if stable && writable && !repeated && kind.Group != "imagepolicy.k8s.io" && kind.Group != "admission.k8s.io" && kind.Group != "resource.k8s.io" {
			base(t)
			kinds = append(kinds, fmt.Sprintf("%s %s %s", kind.GroupVersion(), kind.Kind, name(t)))
		}
	}
	sort.Strings(kinds)
	var names []string
	for name := range messages {
		names = append(names, name)
	}
	sort.Strings(names)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	fmt.Fprintln(out, "# Kinds: apiVersion, kind, message. Made by e2e/real/kubernetes-tests/wire-table; the format is described in table.rs.")
	for _, kind := range kinds {
		fmt.Fprintln(out, kind)
	}
	fmt.Fprintln(out, "# Messages: name, then number:JSON name:type of each field.")
	for _, name := range names {
		fmt.Fprintln(out, strings.TrimSpace(name+" "+messages[name]))
	}
}
