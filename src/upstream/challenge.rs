//! `WWW-Authenticate` (RFC 9110 section 11.6.1), read leniently.
//!
//! One header may hold several challenges, whose parameters are separated by the same commas as the challenges are; values
//! are quoted or not, and registries leave out quotes where the grammar wants them.

const MAX_CHALLENGES: usize = 16;
const MAX_PARAMETERS: usize = 32;
const MAX_HEADER_BYTES: usize = 16 << 10;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Lower case: `bearer`, `basic`.
    pub scheme: String,
    /// Names in lower case, in the header's order.
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// The first value of a parameter; `name` is in lower case.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Every challenge of one header value. What cannot be read is passed over; of too long a header only the beginning is read.
pub fn parse_challenges(header: &str) -> Vec<Challenge> {
    let mut end = header.len().min(MAX_HEADER_BYTES);
    while !header.is_char_boundary(end) {
        end -= 1;
    }
    let mut rest = header.get(..end).unwrap_or_default();
    let mut challenges: Vec<Challenge> = Vec::new();
    let mut begins = true;
    loop {
        let trimmed = rest.trim_start_matches([' ', '\t', ',']);
        begins |= separator(rest, trimmed);
        rest = trimmed;
        if rest.is_empty() {
            return challenges;
        }
        let (name, after) = split_while(rest, is_token);
        if name.is_empty() {
            rest = skip_one(rest);
            continue;
        }
        rest = after;
        if let Some(value) = after.trim_start_matches([' ', '\t']).strip_prefix('=') {
            let (value, after) = take_value(value.trim_start_matches([' ', '\t']));
            rest = after;
            // A parameter before any scheme belongs to nothing.
            if let Some(challenge) = challenges.last_mut()
                && challenge.parameters.len() < MAX_PARAMETERS
            {
                challenge.parameters.push((name.to_ascii_lowercase(), value));
            }
            begins = true;
            continue;
        }
        // What follows a scheme without a comma is a token68, as in `Negotiate abc`.
        if begins {
            if challenges.len() == MAX_CHALLENGES {
                return challenges;
            }
            challenges.push(Challenge { scheme: name.to_ascii_lowercase(), parameters: Vec::new() });
        }
        begins = false;
    }
}

/// Whether what was trimmed off the front of `before` holds a comma.
fn separator(before: &str, after: &str) -> bool {
    before.get(..before.len() - after.len()).is_some_and(|gap| gap.contains(','))
}

fn take_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = split_while(text, |c| !matches!(c, ',' | ' ' | '\t'));
        return (value.to_owned(), rest);
    };
    let mut value = String::new();
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return (value, chars.as_str()),
            '\\' => value.extend(chars.next()),
            c => value.push(c),
        }
    }
    (value, "")
}

fn split_while(text: &str, wanted: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !wanted(c)).unwrap_or(text.len()))
}

fn skip_one(text: &str) -> &str {
    let mut chars = text.chars();
    chars.next();
    chars.as_str()
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(header: &str) -> Vec<(String, Vec<(String, String)>)> {
        parse_challenges(header).into_iter().map(|challenge| (challenge.scheme, challenge.parameters)).collect()
    }

    fn expect(header: &str, expected: &[(&str, &[(&str, &str)])]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(scheme, parameters)| {
                let owned = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
                ((*scheme).to_owned(), owned)
            })
            .collect();
        assert_eq!(read(header), expected, "{header}");
    }

    #[test]
    fn registries() {
        expect(
            r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nginx:pull""#,
            &[(
                "bearer",
                &[
                    ("realm", "https://auth.docker.io/token"),
                    ("service", "registry.docker.io"),
                    ("scope", "repository:library/nginx:pull"),
                ],
            )],
        );
        expect(
            r#"Basic realm="https://1.dkr.ecr.eu-west-1.amazonaws.com/",service="ecr.amazonaws.com""#,
            &[("basic", &[("realm", "https://1.dkr.ecr.eu-west-1.amazonaws.com/"), ("service", "ecr.amazonaws.com")])],
        );
        expect(
            r#"Bearer scope="repository:a:pull,push", realm=https://host/token"#,
            &[("bearer", &[("scope", "repository:a:pull,push"), ("realm", "https://host/token")])],
        );
    }

    #[test]
    fn several_in_one_header() {
        expect(
            r#"Negotiate abc, Basic realm="a, \"b\"" , BEARER Realm = "c", x=1"#,
            &[("negotiate", &[]), ("basic", &[("realm", "a, \"b\"")]), ("bearer", &[("realm", "c"), ("x", "1")])],
        );
        expect("Basic,Bearer realm=x", &[("basic", &[]), ("bearer", &[("realm", "x")])]);
        expect("Basic realm=\"\", Bearer", &[("basic", &[("realm", "")]), ("bearer", &[])]);
    }

    #[test]
    fn nonsense() {
        for header in ["", " ", ",,,", "=", "\"", "\u{e4}\u{f6}", "realm=\"x\""] {
            expect(header, &[]);
        }
        expect("Bearer realm=\"unterminated\\", &[("bearer", &[("realm", "unterminated")])]);
        expect("Bearer ,realm==x", &[("bearer", &[("realm", "=x")])]);
        expect("Basic realm=a Bearer realm=b", &[("basic", &[("realm", "a")]), ("bearer", &[("realm", "b")])]);
        expect("Bearer \u{fc} realm=x", &[("bearer", &[("realm", "x")])]);
    }

    #[test]
    fn bounded() {
        assert_eq!(parse_challenges(&"a,".repeat(1000)).len(), MAX_CHALLENGES);
        let parameters = format!("Bearer {}", "a=b,".repeat(100_000));
        assert_eq!(parse_challenges(&parameters).first().map(|one| one.parameters.len()), Some(MAX_PARAMETERS));
        parse_challenges(&"\u{fc}".repeat(MAX_HEADER_BYTES));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(header in ".{0,300}") {
            parse_challenges(&header);
        }

        #[test]
        fn reads_back_what_was_quoted(value in "[ -~]{0,40}") {
            let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
            let challenges = parse_challenges(&format!("Basic realm=x, Bearer realm=\"{quoted}\", service=y"));
            proptest::prop_assert_eq!(challenges.last().and_then(|last| last.parameter("realm")), Some(value.as_str()));
            proptest::prop_assert_eq!(challenges.last().and_then(|last| last.parameter("service")), Some("y"));
        }
    }
}
