//! Any form is an operation of IAM or STS, or a fault that can be written.
#![no_main]

use entrepot::iam::{Form, Operation, OperationName};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (number, body) = input;
    let name = OperationName::ALL[usize::from(number) % OperationName::ALL.len()];
    let begin = format!("Action={}&Version={}&", name.name(), name.service().version());
    let parsed = Form::parse(&[begin.as_bytes(), body].concat()).and_then(|form| {
        // What the body says of them again is refused.
        assert_eq!(form.operation_name()?, name);
        Operation::parse(name, form, Some("me"))
    });
    let account = "000000000000".parse().unwrap();
    match parsed {
        Ok(operation) => {
            if let Some(resource) = operation.resource(account) {
                assert!(!resource.is_empty());
            }
            let _ = operation.context();
        }
        Err(fault) => assert!(fault.to_xml(name.service(), "1").ends_with("</ErrorResponse>")),
    }
    let _ = Form::parse(body).and_then(|form| form.operation_name());
});
