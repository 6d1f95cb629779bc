package main

import (
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"
)

func envelope(body string) string {
	return `<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"` +
		` xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">` +
		`<s:Body>` + body + `</s:Body></s:Envelope>`
}

const loginHead = `<Login xmlns="urn:vim25"><_this type="SessionManager">SessionManager</_this>`

// strictCases: the complaint is empty where a vCenter would take the request.
var strictCases = []struct{ name, body, complaint string }{
	{"in order", loginHead + `<userName>a</userName><password>b</password></Login>`, ""},
	{"other prefix", `<v:Login xmlns:v="urn:vim25"><v:_this type="SessionManager">SessionManager</v:_this><v:userName>a</v:userName><v:password>b</v:password></v:Login>`, ""},
	{"swapped", loginHead + `<password>b</password><userName>a</userName></Login>`, "userName"},
	{"unknown element", loginHead + `<userName>a</userName><password>b</password><otp>1</otp></Login>`, `"otp"`},
	{"missing element", loginHead + `<userName>a</userName></Login>`, `required element "password"`},
	{"twice", loginHead + `<userName>a</userName><userName>a</userName><password>b</password></Login>`, "twice"},
	{"no namespace", `<Login><_this type="SessionManager">SessionManager</_this></Login>`, "namespace"},
	{"reference without type", `<Login xmlns="urn:vim25"><_this>SessionManager</_this><userName>a</userName><password>b</password></Login>`, "_this"},
	{"no such method", `<Frobnicate xmlns="urn:vim25"><_this type="X">x</_this></Frobnicate>`, "no such method"},
	{"not XML", `<Login`, "well formed"},
}

func TestRequestsMustFollowTheSchema(t *testing.T) {
	for _, c := range strictCases {
		r, err := parseRequest([]byte(envelope(c.body)))
		if err == nil {
			err = r.validate()
		}
		complain(t, c.name, err, c.complaint)
	}
}

func complain(t *testing.T, name string, err error, complaint string) {
	t.Helper()
	switch {
	case complaint == "" && err != nil:
		t.Errorf("%s: %v", name, err)
	case complaint != "" && (err == nil || !strings.Contains(err.Error(), complaint)):
		t.Errorf("%s: %v, expected something about %s", name, err, complaint)
	}
}

// specCases stand in a ReconfigVM_Task; they lie where a client is likely to err.
var specCases = []struct{ name, spec, complaint string }{
	{"in order", `<name>v</name><numCPUs>2</numCPUs><memoryMB>64</memoryMB>`, ""},
	{"zero is a value", `<numCPUs>0</numCPUs>`, ""},
	{"out of order", `<memoryMB>64</memoryMB><numCPUs>2</numCPUs>`, "numCPUs"},
	{"no number", `<numCPUs>two</numCPUs>`, "numCPUs"},
	{"too large a number", `<numCPUs>4294967296</numCPUs>`, "numCPUs"},
	{"extraConfig", `<extraConfig xsi:type="OptionValue"><key>k</key><value xsi:type="xsd:string">v</value></extraConfig>`, ""},
	{"untyped value", `<extraConfig xsi:type="OptionValue"><key>k</key><value>v</value></extraConfig>`, "xsi:type"},
	{"value first", `<extraConfig xsi:type="OptionValue"><value xsi:type="xsd:string">v</value><key>k</key></extraConfig>`, "key"},
	{"a type that does not fit", `<extraConfig xsi:type="VirtualVmxnet3"><key>1</key></extraConfig>`, "does not fit"},
	{"device before operation", `<deviceChange xsi:type="VirtualDeviceConfigSpec"><device xsi:type="VirtualCdrom"><key>1</key></device><operation>add</operation></deviceChange>`, "operation"},
	{"no such operation", `<deviceChange xsi:type="VirtualDeviceConfigSpec"><operation>insert</operation><device xsi:type="VirtualCdrom"><key>1</key></device></deviceChange>`, "operation"},
	{"base elements come first", `<deviceChange xsi:type="VirtualDeviceConfigSpec"><operation>add</operation><device xsi:type="VirtualVmxnet3"><macAddress>x</macAddress><key>1</key></device></deviceChange>`, "key"},
	{"element of a subtype", `<deviceChange xsi:type="VirtualDeviceConfigSpec"><operation>add</operation><device xsi:type="VirtualCdrom"><key>1</key><macAddress>x</macAddress></device></deviceChange>`, "macAddress"},
	{"element of a later release", `<deviceChange xsi:type="VirtualDeviceConfigSpec"><operation>add</operation><device xsi:type="VirtualVmxnet3"><key>1</key><subnetId>x</subnetId></device></deviceChange>`, "subnetId"},
	{"children in a simple value", `<name><b>v</b></name>`, "simple value"},
}

func TestSpecsMustFollowTheSchema(t *testing.T) {
	for _, c := range specCases {
		r, err := parseRequest([]byte(envelope(
			`<ReconfigVM_Task xmlns="urn:vim25"><_this type="VirtualMachine">vm-1</_this><spec>` + c.spec + `</spec></ReconfigVM_Task>`)))
		must(t, err)
		complain(t, c.name, r.validate(), c.complaint)
	}
}

func TestAMisorderedRequestIsAFaultThatNamesTheElement(t *testing.T) {
	l := newLab(t)
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	resp, err := c.Post(l.sim.URL()+"/sdk", "text/xml", strings.NewReader(envelope(loginHead+`<password>VMware1!</password><userName>`+operatorUser+`</userName></Login>`)))
	must(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(t, err)
	text := string(b)
	if resp.StatusCode != http.StatusInternalServerError || !strings.Contains(text, "userName") || !strings.Contains(text, `xsi:type="InvalidRequest"`) {
		t.Errorf("%d %s", resp.StatusCode, text)
	}
}

func TestNothingWorksWithoutASession(t *testing.T) {
	l := newLab(t)
	must(t, l.client.Logout(l.ctx))
	_, err := l.vmFolder().CreateFolder(l.ctx, "f")
	wantSoap[types.NotAuthenticated](t, err)
	req := types.RetrievePropertiesEx{This: l.client.ServiceContent.PropertyCollector}
	_, err = callRetrieve(l, &req)
	wantSoap[types.NotAuthenticated](t, err)
}
