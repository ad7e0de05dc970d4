//! Any text is a policy that can be asked, or is refused with a reason.
#![no_main]

use entrepot::policy::iam::{Context, Document, Kind, Policies, Principal, Question, decide};
use libfuzzer_sys::fuzz_target;

const RESOURCE: &str = "arn:aws:ecr:eu-west-1:111122223333:repository/team/app";

fuzz_target!(|text: &str| {
    let (Ok(account), Ok(principal)) =
        ("111122223333".parse(), Principal::from_arn("arn:aws:iam::111122223333:user/ann"))
    else {
        return;
    };
    let context = Context::new().with("aws:SourceIp", std::net::IpAddr::from([192, 0, 2, 1]));
    for kind in [Kind::Identity, Kind::Repository, Kind::Registry] {
        match Document::parse(kind, text, 64 << 10) {
            Ok(document) => {
                let question = Question::new(&principal, "ecr:PutImage", RESOURCE, account, &context);
                let _ = decide(&Policies { repository: Some(&document), ..Policies::default() }, &question);
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
});
