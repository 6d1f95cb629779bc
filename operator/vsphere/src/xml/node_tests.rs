//! Reading XML as vCenter and others write it.

use proptest::prelude::*;

use super::*;
use crate::xml::Writer;

const ENVELOPES: [(&str, &str); 3] = [
    // vCenter's own way.
    (
        "prefix xsi",
        r#"<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenc="http://schemas.xmlsoap.org/soap/encoding/"
 xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsd="http://www.w3.org/2001/XMLSchema"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><R xmlns="urn:vim25">
<val type="Folder" xsi:type="ManagedObjectReference">group-v3</val><s xsi:type="xsd:string">a&amp;b</s></R>
</soapenv:Body></soapenv:Envelope>"#,
    ),
    // Another server's, with the namespace on each element.
    (
        "prefix of its own",
        r#"<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body><R xmlns="urn:vim25">
<val xmlns:_XMLSchema-instance="http://www.w3.org/2001/XMLSchema-instance" type="Folder"
 _XMLSchema-instance:type="ManagedObjectReference">group-v3</val>
<s xmlns:_XMLSchema-instance="http://www.w3.org/2001/XMLSchema-instance"
 _XMLSchema-instance:type="XMLSchema:string">a&#38;b</s></R></soap:Body></soap:Envelope>"#,
    ),
    // With elements of vim25 under a prefix, and single quotes.
    (
        "prefixed elements",
        r"<E:Envelope xmlns:E='http://schemas.xmlsoap.org/soap/envelope/' xmlns:v='urn:vim25'
 xmlns:i='http://www.w3.org/2001/XMLSchema-instance'><E:Body><v:R><v:val i:type='v:ManagedObjectReference'
 type='Folder'>group-v3</v:val><v:s i:type='string'><![CDATA[a&b]]></v:s></v:R></E:Body></E:Envelope>",
    ),
];

#[test]
fn prefixes_say_nothing() {
    for (what, xml) in ENVELOPES {
        let envelope = Node::parse(xml).unwrap();
        let response = envelope.child("Body").unwrap().child("R").unwrap();
        let value = response.child("val").unwrap();
        assert_eq!(value.kind.as_deref(), Some("ManagedObjectReference"), "{what}");
        assert_eq!(value.moref(), Some(Moref::new("Folder", "group-v3")), "{what}");
        let text = response.child("s").unwrap();
        assert_eq!(
            (text.kind.as_deref(), text.text.as_str()),
            (Some("string"), "a&b"),
            "{what}"
        );
    }
}

#[test]
fn a_type_attribute_of_another_namespace_is_no_type() {
    let node = Node::parse(r#"<a xmlns:o="urn:other" o:type="Folder">x</a>"#).unwrap();
    assert_eq!((node.kind.as_ref(), node.moref()), (None, None));
    let unbound = Node::parse(r#"<a xsi:type="Folder">x</a>"#).unwrap();
    assert_eq!(unbound.kind, None, "a prefix without a namespace means nothing");
}

#[test]
fn texts_are_read_as_they_were_meant() {
    for (xml, text) in [
        ("<a/>", ""),
        ("<a></a>", ""),
        ("<a> x </a>", " x "),
        ("<a>&lt;&gt;&amp;&quot;&apos;</a>", "<>&\"'"),
        ("<a>&#13;&#xA;&#x1F600;</a>", "\r\n\u{1f600}"),
        ("<a>one\r\ntwo\rthree</a>", "one\ntwo\nthree"),
        ("<a>x<!-- no -->y</a>", "xy"),
        ("<a><![CDATA[<b>&amp;]]></a>", "<b>&amp;"),
        ("<!DOCTYPE a><?pi x?><a>x</a>", "x"),
    ] {
        assert_eq!(
            Node::parse(xml).map(|node| node.text),
            Ok(text.to_owned()),
            "{xml}"
        );
    }
}

#[test]
fn what_is_not_one_whole_document_is_refused() {
    let deep = format!("{}{}", "<a>".repeat(200), "</a>".repeat(200));
    for xml in [
        "",
        "text",
        "<a>",
        "<a><b></a>",
        "</a>",
        "<a>&nope;</a>",
        "<a>&#xFFFFFFFF;</a>",
        deep.as_str(),
    ] {
        assert!(Node::parse(xml).is_err(), "{xml}");
    }
}

#[test]
fn values_are_read_or_are_none() {
    let node = Node::parse(
        "<a><n>42</n><bad>x</bad><t>true</t><one>1</one><f>false</f><zero>0</zero><e/><n>43</n></a>",
    )
    .unwrap();
    assert_eq!(
        (
            node.value::<i32>("n"),
            node.value::<i32>("bad"),
            node.value::<i32>("none")
        ),
        (Some(42), None, None)
    );
    assert_eq!(
        ["t", "one", "f", "zero", "e", "none"].map(|name| node.flag(name)),
        [Some(true), Some(true), Some(false), Some(false), None, None]
    );
    assert_eq!((node.text_of("e"), node.string("e")), (Some(""), None));
    assert_eq!(node.all("n").count(), 2);
}

proptest! {
    #[test]
    fn what_is_written_is_read(key in "[a-z]{1,8}", value in "([\\r\\n\\t]|\\PC){0,40}", kind in "[A-Z][a-z]{1,8}") {
        let mut writer = Writer::default();
        writer.element("root", |w| {
            w.value(&key, &value);
            w.any_string("any", &value);
            w.moref("obj", &Moref::new(kind.as_str(), "x"));
        });
        let xml = writer.finish().unwrap()
            .replacen("<root>", "<root xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">", 1);
        let node = Node::parse(&xml).unwrap();
        prop_assert_eq!(&node.children[0].name, &key);
        prop_assert_eq!(&node.children[0].text, &value);
        prop_assert_eq!(node.children[1].kind.as_deref(), Some("string"));
        prop_assert_eq!(&node.children[1].text, &value);
        prop_assert_eq!(node.moref_of("obj"), Some(Moref::new(kind, "x")));
    }

    #[test]
    fn nonsense_never_panics(xml in "[<>/a-c=\"'&;#! \\[\\]]{0,60}") {
        let _ = Node::parse(&xml);
    }
}
