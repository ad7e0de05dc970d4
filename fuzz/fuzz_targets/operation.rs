//! Any request to ECR's API is an operation or a fault that can be written.
#![no_main]

use entrepot::ecr::{Operation, OperationName, Word};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (number, body) = input;
    let name = OperationName::ALL[usize::from(number) % OperationName::ALL.len()];
    match Operation::parse(&format!("AmazonEC2ContainerRegistry_V20150921.{}", name.name()), body) {
        Ok(operation) => assert_eq!(operation.operation_name(), name),
        Err(fault) => assert!(!fault.to_json().is_empty()),
    }
});
