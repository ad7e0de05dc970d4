//! Policies and repositories that mean harm: large, deep, and made to be compared for long.

use super::*;

fn refused(text: &str) -> String {
    Policy::parse(text, Dialect::Extended).unwrap_err().to_string()
}

#[test]
fn large_texts_are_not_read() {
    let too_long = "it has more than 30720 characters";
    for text in [
        " ".repeat(1 << 20),
        "[".repeat(1 << 20),
        "ä".repeat(1 << 20),
        format!("{{\"rules\":[{}]}}", vec!["{}"; 300_000].join(",")),
        format!("{{\"rules\":[],\"{}\":1}}", "x".repeat(1 << 20)),
    ] {
        assert!(refused(&text).contains(too_long));
    }
}

#[test]
fn deep_texts_are_refused() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{{\"rules\":{}1{}}}", open.repeat(5_000), close.repeat(5_000));
        assert!(refused(&deep).contains("recursion limit exceeded"));
    }
    let deep = format!("{{\"rules\":{}{}}}", "[".repeat(100), "]".repeat(100));
    assert!(refused(&deep).contains("instance type (array)"));
}

/// As many entries as a text may have, and wildcards that try all they can, on the longest tags.
#[test]
fn pathological_patterns_end_soon() {
    let patterns: Vec<String> =
        (0..100).map(|n| format!("*{}*{}*{}b*", "a".repeat(n % 50), "a".repeat(n / 2), "a".repeat(20))).collect();
    let rules: Vec<String> =
        (1..=5).map(|rule| format!("{rule} tagged {},x{rule} more 1 expire", patterns[..99].join(","))).collect();
    let policies: Vec<Policy> = rules.iter().map(|rule| policy(&[rule])).collect();
    let tag = "a".repeat(128);
    let images: Vec<Image> = (0..500).map(|n| image(&n.to_string(), &[&tag, &format!("{tag}b")], n)).collect();
    for policy in policies {
        assert_eq!(evaluate(&policy, &images, LOOSE, NOW_MS).preview().len(), 0);
    }
    let grouped = policy(&[r#"1 tagged * more 1 expire {"groupBy": "*a{*a*}a*"}"#]);
    let images: Vec<Image> = (0..500).map(|n| image(&n.to_string(), &[&format!("{tag}{n}")], n)).collect();
    assert_eq!(evaluate(&grouped, &images, LOOSE, NOW_MS).preview().len(), 499);
}

/// 100,000 images and 50 rules of all kinds. Each rule goes over the images once, so this ends within seconds even
/// without optimization.
#[test]
fn a_large_repository() {
    let mut rules: Vec<String> = (1..=40).map(|n| format!("{n} tagged b{n}-*,*-{n} more 5 expire")).collect();
    rules.extend((41..=45).map(|n| format!(r#"{n} tagged b{n}-* more 3 expire {{"groupBy": "{{*}}-*"}}"#)));
    rules.extend((46..=48).map(|n| format!(r#"{n} tagged c{n}-* pushed 30 expire {{"subject": "tag"}}"#)));
    rules.push("49 untagged pushed 10 expire".to_owned());
    rules.push("50 any pushed 90 expire".to_owned());
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let images: Vec<Image> = (0..100_000_i64)
        .map(|n| {
            let tags = [format!("b{}-{}", n % 60, n), format!("c{}-{}", n % 50, n)];
            let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
            let image = image(&format!("{n:06}"), if n % 10 == 0 { &[] } else { &tags }, n % 100);
            // Each thousandth is an index of the next nine.
            let children: Vec<String> = (n + 1..n + 10).map(|child| format!("{child:06}")).collect();
            let children: Vec<&str> = children.iter().map(String::as_str).collect();
            if n % 1_000 == 0 { image.index_of(&children) } else { image }
        })
        .collect();
    let policy = policy(&rules);
    let plan = evaluate(&policy, &images, LOOSE, NOW_MS);
    let by = |priority: u32| plan.preview().iter().filter(|step| step.rule_priority == priority).count();
    assert!(by(47) > 100 && by(49) > 1_000 && by(50) > 1_000, "{} {} {}", by(47), by(49), by(50));
}

/// A chain of indexes as long as a repository is walked without recursion.
#[test]
fn a_long_chain_of_indexes() {
    let count = 50_000;
    let mut images: Vec<Image> =
        (0..count).map(|n| image(&n.to_string(), &[], 50).index_of(&[&(n + 1).to_string()])).collect();
    images.push(image(&count.to_string(), &[], 50).pulled(40));
    let policy = policy(&["1 any pulled 30 expire"]);
    let plan = evaluate(&policy, &images, LOOSE, NOW_MS);
    assert_eq!(plan.preview().len(), images.len());
    images[count].pulled_at_ms = Some(NOW_MS);
    assert_eq!(evaluate(&policy, &images, LOOSE, NOW_MS).preview().len(), 0);
}

/// One manifest that all others list and refer to, and one that lists and refers to all others.
#[test]
fn stars() {
    let count = 20_000;
    let names: Vec<String> = (0..count).map(|n| n.to_string()).collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut images: Vec<Image> = all.iter().map(|name| image(name, &[], 50).index_of(&["leaf", "leaf"])).collect();
    images.push(image("leaf", &[], 50));
    let policy = policy(&["1 any pushed 30 expire"]);
    assert_eq!(evaluate(&policy, &images, LOOSE, NOW_MS).preview().len(), count + 1);
    let mut images: Vec<Image> = all.iter().map(|name| image(name, &[], 50).about("root", "t")).collect();
    images.push(image("root", &[], 50).index_of(&all));
    let plan = evaluate(&policy, &images, LOOSE, NOW_MS);
    assert_eq!(plan.preview().len(), count + 1);
}
