package main

import (
	"encoding/json"
	"reflect"
	"testing"
)

func TestAnElementAsJSON(t *testing.T) {
	n, err := parseXML([]byte(`<spec xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><name>v</name>` +
		`<deviceChange xsi:type="VirtualDeviceConfigSpec"><operation>add</operation></deviceChange>` +
		`<deviceChange xsi:type="VirtualDeviceConfigSpec"><operation>edit</operation></deviceChange>` +
		`<deviceChange xsi:type="VirtualDeviceConfigSpec"><operation>remove</operation></deviceChange>` +
		`<pool type="ResourcePool">resgroup-8</pool></spec>`))
	must(t, err)
	change := func(op string) any {
		return map[string]any{"_type": "VirtualDeviceConfigSpec", "operation": op}
	}
	want := map[string]any{
		"name": "v", "pool": "ResourcePool:resgroup-8",
		"deviceChange": []any{change("add"), change("edit"), change("remove")},
	}
	if got := n.tree(); !reflect.DeepEqual(got, want) {
		t.Errorf("%v", got)
	}
}

func TestWhatWasSentCanBeReadAgain(t *testing.T) {
	l := newLab(t)
	pg := l.group("net", 20)
	vm := l.vm("v", l.card(pg, 1184))
	var sent []Sent
	l.post("GET", "/sent", json.RawMessage(`{}`), &sent)
	if len(sent) != 1 || sent[0].Method != "CreateVM_Task" || sent[0].Client != operatorUser {
		t.Fatalf("%+v", sent)
	}
	body, _ := sent[0].Body.(map[string]any)
	config, _ := body["config"].(map[string]any)
	change, _ := config["deviceChange"].(map[string]any)
	device, _ := change["device"].(map[string]any)
	if device["_type"] != "VirtualVmxnet3" || device["key"] != "-1" {
		t.Errorf("%v", config)
	}
	var read machine
	if s := l.post("GET", "/vms/"+vm.Reference().String(), json.RawMessage(`{}`), &read); s != 200 {
		t.Fatalf("status %d", s)
	}
	seen, _ := read.Config.(map[string]any)
	if read.Name != "v" || seen["guestId"] != "otherGuest64" || len(read.Network) != 1 {
		t.Errorf("%+v", read)
	}
	if s := l.post("GET", "/vms/VirtualMachine:vm-0", json.RawMessage(`{}`), nil); s != 404 {
		t.Errorf("status %d for a machine that does not exist", s)
	}
}
