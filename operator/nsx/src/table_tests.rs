use super::*;
use crate::error::Class;

fn body(code: &str) -> String {
    format!(
        r#"{{"httpStatus":"BAD_REQUEST","error_code":{code},"module_name":"Policy","error_message":"why"}}"#
    )
}

fn of(status: u16, text: &str) -> Error {
    error_of("https://nsx.example", status, text.as_bytes())
}

fn name(error: &Error) -> String {
    format!("{error:?}").split(['(', ' ']).next().unwrap().to_owned()
}

#[test]
fn every_row_has_its_variant_and_class() {
    use Class::{Blocked, Terminal, Transient};
    let rows: &[(u16, u64, &str, Class)] = &[
        (400, 500_012, "InvalidPath", Blocked),
        (400, 500_030, "InUse", Blocked),
        (400, 500_045, "DeletePending", Transient),
        (400, 500_087, "Stale", Transient),
        (400, 500_232, "Stale", Transient),
        (400, 100_148, "Stale", Transient),
        (404, 500_090, "Stale", Transient),
        (400, 500_105, "Overlap", Terminal),
        (400, 500_127, "AlreadyExists", Transient),
        (400, 503_040, "SegmentInUse", Blocked),
        (400, 503_101, "SegmentAttached", Terminal),
        (400, 8_327, "VlanOverlap", Terminal),
        (400, 640_873, "VlanOverlap", Terminal),
        (400, 612_504, "VifRestored", Terminal),
        (400, 508_128, "MixedMode", Terminal),
        (400, 508_134, "ReservedRange", Terminal),
        (400, 508_135, "ReservedRange", Terminal),
        (400, 520_100, "NoCapacity", Transient),
        (400, 660_000, "MixedAllocation", Terminal),
        (400, 660_011, "MixedAllocation", Terminal),
        (400, 660_012, "Refused", Terminal),
        (400, 60_508, "IndexNotReady", Transient),
        (400, 60_514, "IndexNotReady", Transient),
        (400, 60_515, "IndexNotReady", Transient),
        (400, 255, "PageTooLarge", Transient),
        (503, 60_576, "PageTooLarge", Transient),
        (404, 600, "NotFound", Blocked),
        (404, 202, "NotFound", Blocked),
        (401, 403, "Forbidden", Blocked),
        (403, 403, "Forbidden", Blocked),
        (403, 98, "Forbidden", Blocked),
        (403, 505, "Unlicensed", Blocked),
        (409, 0, "Concurrent", Transient),
        (412, 604, "RevisionMismatch", Transient),
        (413, 1, "PageTooLarge", Transient),
        (429, 102, "RateLimited", Transient),
        (500, 98, "BackendDown", Transient),
        (500, 99, "CertificateRefused", Blocked),
        (500, 607, "TransactionAborted", Transient),
        (500, 610, "TransactionAborted", Transient),
        (500, 1, "ServerFault", Transient),
        (502, 1, "ServerFault", Transient),
        (503, 0, "Busy", Transient),
        (400, 1, "Refused", Terminal),
        (400, 500_130, "Refused", Terminal),
    ];
    for (status, code, variant, class) in rows {
        for written in [code.to_string(), format!("\"{code}\"")] {
            let error = of(*status, &body(&written));
            assert_eq!(name(&error), *variant, "{status}/{written}");
            assert_eq!(error.class(), *class, "{status}/{written}");
            let refusal = error.refusal().unwrap();
            assert_eq!(
                (refusal.status, refusal.code, refusal.message.as_str()),
                (*status, *code, "why")
            );
        }
    }
}

#[test]
fn a_captured_rate_answer_without_http_status_is_understood() {
    let error = of(
        429,
        r#"{"module_name":"common-services","error_message":"Client 'admin' exceeded request rate of 100 per second","error_code":"102"}"#,
    );
    assert_eq!(
        error.to_string(),
        "NSX limits the rate of calls: Client 'admin' exceeded request rate of 100 per second (NSX error 102)"
    );
}

#[test]
fn a_wrapper_gives_way_to_what_it_wraps() {
    let text = r#"{"httpStatus":"BAD_REQUEST","error_code":500157,"error_message":"Error while creating objects of type:PolicyNatRule",
        "related_errors":[{"error_code":"500157","error_message":"inner wrapper","related_errors":[
            {"error_code":500012,"error_message":"The path=[/infra/tier-0s/None] is invalid"}]},
            {"error_code":500105,"error_message":"second"}]}"#;
    let error = of(400, text);
    assert_eq!(name(&error), "InvalidPath");
    let refusal = error.refusal().unwrap();
    assert_eq!(refusal.message, "The path=[/infra/tier-0s/None] is invalid");
    assert_eq!(refusal.related.len(), 3);
    assert!(refusal.related.iter().any(|m| m == "second"));
}

#[test]
fn a_wrapper_around_nothing_is_still_an_error() {
    let error = of(
        400,
        r#"{"error_code":500157,"error_message":"Error while creating objects of type:Segment"}"#,
    );
    assert_eq!(name(&error), "Refused");
    assert!(error.to_string().contains("type:Segment"), "{error}");
    assert!(
        of(400, r#"{"error_code":7}"#)
            .to_string()
            .contains("no reason given")
    );
    assert!(
        of(400, r#"{"error_code":7,"details":"here"}"#)
            .to_string()
            .contains("here")
    );
}

#[test]
fn what_is_not_json_is_told_by_its_status() {
    let html = "<html><head><title>502 Bad Gateway</title></head>\n<body>no   upstream</body></html>";
    match of(502, html) {
        Error::Unparsable { status, excerpt, .. } => {
            assert_eq!((status, excerpt.as_str()), (502, "502 Bad Gateway no upstream"));
        }
        other => panic!("{other:?}"),
    }
    for (status, text, variant) in [
        (503, html, "Busy"),
        (503, "", "Busy"),
        (429, "", "RateLimited"),
        (403, "", "Forbidden"),
        (401, html, "Forbidden"),
        (409, "", "Concurrent"),
        (412, "", "RevisionMismatch"),
        (413, html, "PageTooLarge"),
        (500, "", "ServerFault"),
        (404, html, "Unparsable"),
        (400, "", "Unparsable"),
        (400, "[1,2]", "Unparsable"),
        (400, r#"{"some":"json"}"#, "Unparsable"),
    ] {
        assert_eq!(name(&of(status, text)), variant, "{status} {text}");
    }
}

#[test]
fn excerpts_are_short() {
    let long = "x".repeat(5000);
    assert_eq!(excerpt(long.as_bytes()).chars().count(), EXCERPT + 1);
    assert_eq!(excerpt(&[0xff, 0xfe]).chars().count(), 2);
}
