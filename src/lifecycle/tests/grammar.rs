//! Each check of the grammar: what it refuses and in which words, and a neighbour that it accepts.
//!
//! Rows edit a policy: `path = JSON` sets a member, `-path` removes one, `;` comes between edits. A path begins at the
//! first rule, or at the policy with `/`. Texts lack the `Lifecycle policy validation failure: ` that all of them begin
//! with.

use super::*;

const COUNT: &str = "1 any more 3 expire";
const PUSHED: &str = "1 any pushed 14 expire";
const PULLED: &str = "1 any pulled 90 archive";
const ARCHIVED: &str = "1 any archived 365 expire";
const TAGGED: &str = "1 tagged prod* more 3 expire";
const PREFIX: &str = "1 prefix prod more 3 expire";
const UNTAGGED: &str = "1 untagged more 3 expire";
/// With extensions declared.
const GROUPED: &str = r#"1 tagged * more 3 expire {"groupBy": "{*}-*"}"#;
const KEEP: &str = "1 tagged v* keep";
const NEWEST: &str = r#"1 tagged v* keep {"newest": 5}"#;
const TAGS: &str = r#"1 tagged sha-* pushed 7 expire {"subject": "tag"}"#;

const NO_SELECTION: &str = "instance failed to match exactly one schema (matched 0 out of 4) (rules[0].selection: ";
const NO_ACTION: &str = "instance failed to match exactly one schema (matched 0 out of 2) (rules[0].action: ";
const NOT_A_POLICY: &str = "Could not map policyString into LifecyclePolicy. (";
const UNDECLARED: &str =
    "is an extension of this registry, to be declared with \"entrepot\": {\"version\": 1} beside rules)";

type Row = (&'static str, &'static str, String, &'static str);

fn row(base: &'static str, refused: &'static str, text: impl Into<String>, accepted: &'static str) -> Row {
    (base, refused, text.into(), accepted)
}

fn typed(place: &str, found: &str, allowed: &str) -> String {
    format!("instance type ({found}) does not match any allowed primitive type (allowed: [\"{allowed}\"]) ({place})")
}

fn missing(place: &str, names: &str) -> String {
    let place = if place.is_empty() { String::new() } else { format!(" ({place})") };
    format!("object has missing required properties ([{names}]){place}")
}

fn unknown(place: &str, names: &str) -> String {
    let place = if place.is_empty() { String::new() } else { format!(" ({place})") };
    format!("object instance has properties which are not allowed by the schema: ([{names}]){place}")
}

fn word(place: &str, found: &str, known: &str) -> String {
    format!("instance value ({found}) not found in enum :(possible values: [{known}]) ({place})")
}

fn low(place: &str, minimum: i64, found: &str) -> String {
    format!("numeric instance is lower than the required minimum (minimum: {minimum}, found: {found}) ({place})")
}

fn high(place: &str, maximum: i64, found: &str) -> String {
    format!("numeric instance is greater than the required maximum (maximum: {maximum}, found: {found}) ({place})")
}

fn none_of(hint: &str) -> String {
    format!("{NO_SELECTION}{hint})")
}

fn no_action(hint: &str) -> String {
    format!("{NO_ACTION}{hint})")
}

fn at(place: &str, text: &str) -> String {
    format!("{text} ({place})")
}

const MAX: i64 = 2_147_483_647;
const LISTS: &str = "Must specify tagPrefixList or tagPatternList when tagStatus=TAGGED.";
const ONLY_TAGGED: &str = "Can only specify tagPrefixList or tagPatternList when tagStatus=TAGGED.";
const COUNT_TYPES: &str =
    "countType is imageCountMoreThan, sinceImagePushed, sinceImagePulled or sinceImageTransitioned";
const GROUP: &str = "groupBy has one pair of braces with a wildcard inside, and at most 4 wildcards, such as {*}-* \
                     (rules[0].entrepot.groupBy)";

fn policy_rows() -> Vec<Row> {
    vec![
        row(COUNT, "-/rules", missing("", "\"rules\""), "/rules = []"),
        row(COUNT, "/rules = {}", typed("rules", "object", "array"), "/rules = []"),
        row(COUNT, "/rules = null", typed("rules", "null", "array"), "/rules = []"),
        row(COUNT, "/rules = [1]", typed("rules[0]", "integer", "object"), "/rules = []"),
        row(COUNT, "/rules = [null]", typed("rules[0]", "null", "object"), "/rules = []"),
        row(COUNT, "/Rules = []", unknown("", "\"Rules\""), ""),
        row(COUNT, "/version = 1", unknown("", "\"version\""), ""),
        row(COUNT, "/b = 1; /a = 1", unknown("", "\"a\",\"b\""), ""),
    ]
}

fn rule_rows() -> Vec<Row> {
    vec![
        row(COUNT, "-rulePriority", missing("rules[0]", "\"rulePriority\""), ""),
        row(COUNT, "-selection", missing("rules[0]", "\"selection\""), ""),
        row(COUNT, "-action", missing("rules[0]", "\"action\""), ""),
        row(COUNT, "-action; -selection", missing("rules[0]", "\"action\",\"selection\""), ""),
        row(COUNT, "priority = 1", unknown("rules[0]", "\"priority\""), "description = \"priority\""),
        row(COUNT, "rulePriority = 0", low("rules[0].rulePriority", 1, "0"), "rulePriority = 1"),
        row(COUNT, "rulePriority = -1", low("rules[0].rulePriority", 1, "-1"), "rulePriority = 1000"),
        row(
            COUNT,
            "rulePriority = 2147483648",
            high("rules[0].rulePriority", MAX, "2147483648"),
            "rulePriority = 2147483647",
        ),
        row(
            COUNT,
            "rulePriority = 18446744073709551615",
            high("rules[0].rulePriority", MAX, "18446744073709551615"),
            "",
        ),
        row(COUNT, "rulePriority = 1.5", typed("rules[0].rulePriority", "number", "integer"), "rulePriority = 15"),
        row(COUNT, "rulePriority = 1e2", typed("rules[0].rulePriority", "number", "integer"), "rulePriority = 100"),
        row(COUNT, "rulePriority = 99999999999999999999", typed("rules[0].rulePriority", "number", "integer"), ""),
        row(COUNT, "rulePriority = \"1\"", typed("rules[0].rulePriority", "string", "integer"), "rulePriority = 1"),
        row(COUNT, "rulePriority = null", typed("rules[0].rulePriority", "null", "integer"), "rulePriority = 1"),
        row(COUNT, "rulePriority = true", typed("rules[0].rulePriority", "boolean", "integer"), "rulePriority = 1"),
        row(COUNT, "description = null", typed("rules[0].description", "null", "string"), "-description"),
        row(COUNT, "description = 1", typed("rules[0].description", "integer", "string"), "description = \"\""),
        row(COUNT, "description = [\"a\"]", typed("rules[0].description", "array", "string"), "description = \"a\""),
        row(COUNT, "selection = []", typed("rules[0].selection", "array", "object"), ""),
        row(COUNT, "action = \"expire\"", typed("rules[0].action", "string", "object"), ""),
    ]
}

fn action_rows() -> Vec<Row> {
    let place = "rules[0].action.type";
    let words = "\"expire\",\"transition\"";
    vec![
        row(COUNT, "-action/type", missing("rules[0].action", "\"type\""), ""),
        row(COUNT, "action/type = \"EXPIRE\"", word(place, "EXPIRE", words), "action/type = \"expire\""),
        row(COUNT, "action/type = \"delete\"", word(place, "delete", words), "action/type = \"expire\""),
        row(COUNT, "action/type = 1", typed(place, "integer", "string"), "action/type = \"expire\""),
        row(COUNT, "action/when = 1", unknown("rules[0].action", "\"when\""), ""),
        row(
            COUNT,
            "action/targetStorageClass = \"archive\"",
            no_action("targetStorageClass belongs to transition"),
            "action/targetStorageClass = \"archive\"; action/type = \"transition\"",
        ),
        row(COUNT, "action/targetStorageClass = null", no_action("targetStorageClass belongs to transition"), ""),
        row(
            PULLED,
            "-action/targetStorageClass",
            no_action("transition needs targetStorageClass archive"),
            "action/targetStorageClass = \"archive\"",
        ),
        row(
            PULLED,
            "action/targetStorageClass = \"standard\"",
            no_action("transition needs targetStorageClass archive"),
            "",
        ),
        row(
            PULLED,
            "action/targetStorageClass = \"ARCHIVE\"",
            no_action("transition needs targetStorageClass archive"),
            "",
        ),
        row(PULLED, "action/targetStorageClass = null", no_action("transition needs targetStorageClass archive"), ""),
    ]
}

fn tag_rows() -> Vec<Row> {
    let place = "rules[0].selection";
    let statuses = "\"any\",\"tagged\",\"untagged\"";
    let status = "rules[0].selection.tagStatus";
    let prefixes = "rules[0].selection.tagPrefixList";
    let patterns = "rules[0].selection.tagPatternList";
    let empty = "string \"\" is too short (length: 0, required minimum: 1)";
    let twice = "array must not contain duplicate elements";
    let wild = |found| {
        format!("a tag pattern has more wildcards than allowed ({patterns}[0]: {found} of them; at most 4 are allowed)")
    };
    vec![
        row(COUNT, "-selection/tagStatus", missing(place, "\"tagStatus\""), ""),
        row(COUNT, "selection/tagStatus = \"TAGGED\"", word(status, "TAGGED", statuses), ""),
        row(COUNT, "selection/tagStatus = \"\"", word(status, "", statuses), "selection/tagStatus = \"untagged\""),
        row(COUNT, "selection/tagStatus = null", typed(status, "null", "string"), "selection/tagStatus = \"untagged\""),
        row(COUNT, "selection/tags = []", unknown(place, "\"tags\""), ""),
        row(COUNT, "selection/tagStatus = \"tagged\"", at(place, LISTS), "selection/tagStatus = \"any\""),
        row(PREFIX, "selection/tagPrefixList = []", at(place, LISTS), "selection/tagPrefixList = [\"a\"]"),
        row(TAGGED, "selection/tagPatternList = []", at(place, LISTS), "selection/tagPatternList = [\"*\"]"),
        row(COUNT, "selection/tagPrefixList = [\"a\"]", at(place, ONLY_TAGGED), "selection/tagStatus = \"untagged\""),
        row(COUNT, "selection/tagPatternList = [\"a\"]", at(place, ONLY_TAGGED), ""),
        row(COUNT, "selection/tagPatternList = []", at(place, ONLY_TAGGED), ""),
        row(UNTAGGED, "selection/tagPrefixList = [\"a\"]", at(place, ONLY_TAGGED), ""),
        row(UNTAGGED, "selection/tagPatternList = [\"a\"]", at(place, ONLY_TAGGED), ""),
        row(
            TAGGED,
            "selection/tagPrefixList = [\"a\"]",
            at(place, "tagPrefixList and tagPatternList cannot both be specified."),
            "selection/tagPrefixList = [\"a\"]; -selection/tagPatternList",
        ),
        row(PREFIX, "selection/tagPrefixList = \"a\"", typed(prefixes, "string", "array"), ""),
        row(PREFIX, "selection/tagPrefixList = null", typed(prefixes, "null", "array"), ""),
        row(PREFIX, "selection/tagPrefixList = [1]", typed(&format!("{prefixes}[0]"), "integer", "string"), ""),
        row(PREFIX, "selection/tagPrefixList = [\"a\", null]", typed(&format!("{prefixes}[1]"), "null", "string"), ""),
        row(PREFIX, "selection/tagPrefixList = [\"\"]", at(&format!("{prefixes}[0]"), empty), ""),
        row(
            PREFIX,
            "selection/tagPrefixList = [\"a\", \"b\", \"a\"]",
            format!("{twice} ({prefixes}: \"a\" is there twice)"),
            "selection/tagPrefixList = [\"a\", \"b\", \"aa\"]",
        ),
        row(TAGGED, "selection/tagPatternList = \"a\"", typed(patterns, "string", "array"), ""),
        row(TAGGED, "selection/tagPatternList = [{}]", typed(&format!("{patterns}[0]"), "object", "string"), ""),
        row(TAGGED, "selection/tagPatternList = [\"*\", \"\"]", at(&format!("{patterns}[1]"), empty), ""),
        row(
            TAGGED,
            "selection/tagPatternList = [\"*\", \"*\"]",
            format!("{twice} ({patterns}: \"*\" is there twice)"),
            "selection/tagPatternList = [\"*\", \"**\"]",
        ),
        row(
            TAGGED,
            "selection/tagPatternList = [\"test*1*2*3*4*5*6\"]",
            wild(6),
            "selection/tagPatternList = [\"*test*1*2*3\", \"test*1*2*3*\"]",
        ),
        row(TAGGED, "selection/tagPatternList = [\"*****\"]", wild(5), "selection/tagPatternList = [\"****\"]"),
        row(
            PREFIX,
            "selection/tagPrefixList = [true]",
            typed(&format!("{prefixes}[0]"), "boolean", "string"),
            "selection/tagPrefixList = [\"*****\"]",
        ),
    ]
}

fn count_rows() -> Vec<Row> {
    let place = "rules[0].selection";
    let number = "rules[0].selection.countNumber";
    let class = "rules[0].selection.storageClass";
    let classes = "\"archive\",\"standard\"";
    let unit = "this countType needs countUnit days";
    vec![
        row(COUNT, "-selection/countType", missing(place, "\"countType\""), ""),
        row(COUNT, "-selection/countNumber", missing(place, "\"countNumber\""), ""),
        row(COUNT, "selection = {}", missing(place, "\"countNumber\",\"countType\",\"tagStatus\""), ""),
        row(COUNT, "selection/countType = \"imageCountLessThan\"", none_of(COUNT_TYPES), ""),
        row(COUNT, "selection/countType = \"IMAGECOUNTMORETHAN\"", none_of(COUNT_TYPES), ""),
        row(COUNT, "selection/countType = null", typed("rules[0].selection.countType", "null", "string"), ""),
        row(COUNT, "selection/countNumber = 0", low(number, 1, "0"), "selection/countNumber = 1"),
        row(COUNT, "selection/countNumber = -5", low(number, 1, "-5"), "selection/countNumber = 5"),
        row(
            COUNT,
            "selection/countNumber = 2147483648",
            high(number, MAX, "2147483648"),
            "selection/countNumber = 2147483647",
        ),
        row(COUNT, "selection/countNumber = 1.0", typed(number, "number", "integer"), "selection/countNumber = 10"),
        row(COUNT, "selection/countNumber = \"3\"", typed(number, "string", "integer"), "selection/countNumber = 3"),
        row(COUNT, "selection/countNumber = null", typed(number, "null", "integer"), ""),
        row(COUNT, "selection/countUnit = \"days\"", none_of("imageCountMoreThan has no countUnit"), ""),
        row(COUNT, "selection/countUnit = null", none_of("imageCountMoreThan has no countUnit"), ""),
        row(PUSHED, "-selection/countUnit", none_of(unit), "selection/countUnit = \"days\""),
        row(PUSHED, "selection/countUnit = \"hours\"", none_of(unit), ""),
        row(PUSHED, "selection/countUnit = \"DAYS\"", none_of(unit), ""),
        row(PUSHED, "selection/countUnit = null", none_of(unit), ""),
        row(PUSHED, "selection/countUnit = 1", none_of(unit), ""),
        row(PUSHED, "selection/countNumber = 0", low(number, 1, "0"), "selection/countNumber = 1"),
        row(PULLED, "-selection/countUnit", none_of(unit), ""),
        row(PULLED, "selection/countNumber = 0", low(number, 1, "0"), "selection/countNumber = 1"),
        row(ARCHIVED, "-selection/countUnit", none_of(unit), ""),
        row(ARCHIVED, "selection/countNumber = 89", low(number, 90, "89"), "selection/countNumber = 90"),
        row(ARCHIVED, "selection/countNumber = 1", low(number, 90, "1"), "selection/countNumber = 3650"),
        row(
            COUNT,
            "selection/storageClass = \"ARCHIVE\"",
            word(class, "ARCHIVE", classes),
            "selection/storageClass = \"standard\"",
        ),
        row(COUNT, "selection/storageClass = \"glacier\"", word(class, "glacier", classes), "-selection/storageClass"),
        row(COUNT, "selection/storageClass = null", typed(class, "null", "string"), ""),
        row(
            COUNT,
            "selection/storageClass = \"archive\"",
            none_of("storageClass archive needs countType sinceImageTransitioned"),
            "selection/storageClass = \"standard\"",
        ),
        row(
            PUSHED,
            "selection/storageClass = \"archive\"",
            none_of("storageClass archive needs countType sinceImageTransitioned"),
            "selection/storageClass = \"standard\"",
        ),
        row(
            PULLED,
            "selection/storageClass = \"archive\"",
            none_of("storageClass archive needs countType sinceImageTransitioned"),
            "selection/storageClass = \"standard\"",
        ),
        row(
            ARCHIVED,
            "-selection/storageClass",
            none_of("sinceImageTransitioned needs storageClass archive"),
            "selection/storageClass = \"archive\"",
        ),
        row(
            ARCHIVED,
            "selection/storageClass = \"standard\"",
            none_of("sinceImageTransitioned needs storageClass archive"),
            "",
        ),
        row(
            ARCHIVED,
            "action = {\"type\": \"transition\", \"targetStorageClass\": \"archive\"}",
            none_of("sinceImageTransitioned needs the action expire"),
            "action = {\"type\": \"expire\"}",
        ),
        row(
            PULLED,
            "action = {\"type\": \"expire\"}",
            none_of(&format!(
                "expire with sinceImagePulled, where ECR has transition only, {}",
                &UNDECLARED[..UNDECLARED.len() - 1]
            )),
            "action = {\"type\": \"expire\"}; /entrepot = {\"version\": 1}",
        ),
        row(
            PUSHED,
            "selection/countType = \"imageCountMoreThan\"",
            none_of("imageCountMoreThan has no countUnit"),
            "action = {\"type\": \"transition\", \"targetStorageClass\": \"archive\"}",
        ),
        row(
            COUNT,
            "selection/countType = \"sinceImagePushed\"",
            none_of(unit),
            "action = {\"type\": \"transition\", \"targetStorageClass\": \"archive\"}",
        ),
    ]
}

fn extension_rows() -> Vec<Row> {
    let place = "rules[0].entrepot";
    let space = "object instance has properties which are not allowed by the schema: ([\"entrepot\"])";
    let one_limit = "only one of newest, pulledWithinDays and pushedWithinDays can be specified (rules[0].entrepot: \
                     write a keep rule for each)";
    let no_count = "keep has no count; newest, pulledWithinDays or pushedWithinDays in entrepot limit it";
    let belongs = "newest, pulledWithinDays and pushedWithinDays belong to the action keep (rules[0].entrepot)";
    let counted = "groupBy needs imageCountMoreThan, or keep with newest (rules[0].entrepot)";
    vec![
        row(
            COUNT,
            "entrepot = {}",
            format!("{space} (rules[0]: entrepot {UNDECLARED}"),
            "entrepot = {}; /entrepot = {\"version\": 1}",
        ),
        row(
            KEEP,
            "-/entrepot",
            format!(
                "{} (rules[0].action.type: keep {UNDECLARED}",
                word("", "keep", "\"expire\",\"transition\"").trim_end_matches(" ()")
            ),
            "",
        ),
        row(GROUPED, "-/entrepot", format!("{space} (rules[0]: entrepot {UNDECLARED}"), ""),
        row(KEEP, "/entrepot = null", typed("entrepot", "null", "object"), "/entrepot = {\"version\": 1}"),
        row(KEEP, "/entrepot = {}", missing("entrepot", "\"version\""), "/entrepot = {\"version\": 1}"),
        row(KEEP, "/entrepot/version = 0", low("entrepot.version", 1, "0"), "/entrepot/version = 1"),
        row(KEEP, "/entrepot/version = 2", high("entrepot.version", 1, "2"), "/entrepot/version = 1"),
        row(KEEP, "/entrepot/version = \"1\"", typed("entrepot.version", "string", "integer"), ""),
        row(KEEP, "/entrepot/share = 1", unknown("entrepot", "\"share\""), "/entrepot/maxSharePercent = 1"),
        row(
            KEEP,
            "/entrepot/maxSharePercent = 0",
            low("entrepot.maxSharePercent", 1, "0"),
            "/entrepot/maxSharePercent = 1",
        ),
        row(
            KEEP,
            "/entrepot/maxSharePercent = 101",
            high("entrepot.maxSharePercent", 100, "101"),
            "/entrepot/maxSharePercent = 100",
        ),
        row(
            KEEP,
            "/entrepot/attachSignatureTags = 1",
            typed("entrepot.attachSignatureTags", "integer", "boolean"),
            "/entrepot/attachSignatureTags = true",
        ),
        row(GROUPED, "entrepot = []", typed(place, "array", "object"), "entrepot = {}"),
        row(GROUPED, "entrepot/group = \"{*}\"", unknown(place, "\"group\""), "entrepot/groupBy = \"{*}\""),
        row(
            GROUPED,
            "entrepot/groupBy = null",
            typed("rules[0].entrepot.groupBy", "null", "string"),
            "-entrepot/groupBy",
        ),
        row(GROUPED, "entrepot/groupBy = \"\"", GROUP, ""),
        row(GROUPED, "entrepot/groupBy = \"*-*\"", GROUP, "entrepot/groupBy = \"*-{*}\""),
        row(GROUPED, "entrepot/groupBy = \"{main}-*\"", GROUP, "entrepot/groupBy = \"{main*}-*\""),
        row(GROUPED, "entrepot/groupBy = \"{*}-{*}\"", GROUP, "entrepot/groupBy = \"{*-*}\""),
        row(GROUPED, "entrepot/groupBy = \"{*}*****\"", GROUP, "entrepot/groupBy = \"{*}***\""),
        row(
            GROUPED,
            "selection = {\"tagStatus\": \"any\", \"countType\": \"imageCountMoreThan\", \"countNumber\": 3}",
            at(place, "groupBy needs tagStatus tagged"),
            "",
        ),
        row(GROUPED, "selection/countType = \"sinceImagePushed\"; selection/countUnit = \"days\"", counted, ""),
        row(
            NEWEST,
            "entrepot = {\"groupBy\": \"{*}-*\"}",
            counted,
            "entrepot = {\"groupBy\": \"{*}-*\", \"newest\": 1}",
        ),
        row(NEWEST, "entrepot = {\"groupBy\": \"{*}-*\", \"pulledWithinDays\": 1}", counted, ""),
        row(
            COUNT,
            "/entrepot = {\"version\": 1}; entrepot = {\"newest\": 1}",
            belongs,
            "/entrepot = {\"version\": 1}; entrepot = {}",
        ),
        row(GROUPED, "entrepot/pushedWithinDays = 1", belongs, ""),
        row(NEWEST, "entrepot/newest = 0", low("rules[0].entrepot.newest", 1, "0"), "entrepot/newest = 1"),
        row(NEWEST, "entrepot/newest = \"5\"", typed("rules[0].entrepot.newest", "string", "integer"), ""),
        row(
            NEWEST,
            "entrepot = {\"pulledWithinDays\": 0}",
            low("rules[0].entrepot.pulledWithinDays", 1, "0"),
            "entrepot = {\"pulledWithinDays\": 1}",
        ),
        row(
            NEWEST,
            "entrepot = {\"pushedWithinDays\": 0}",
            low("rules[0].entrepot.pushedWithinDays", 1, "0"),
            "entrepot = {\"pushedWithinDays\": 1}",
        ),
        row(NEWEST, "entrepot/pulledWithinDays = 5", one_limit, ""),
        row(NEWEST, "entrepot = {\"pulledWithinDays\": 5, \"pushedWithinDays\": 5}", one_limit, ""),
        row(
            KEEP,
            "selection/countType = \"imageCountMoreThan\"; selection/countNumber = 3",
            format!(
                "{}: {no_count})",
                unknown("rules[0].selection", "\"countNumber\",\"countType\"").trim_end_matches(')')
            ),
            "",
        ),
        row(
            KEEP,
            "-selection/tagStatus",
            format!("{}: {no_count})", missing("rules[0].selection", "\"tagStatus\"").trim_end_matches(')')),
            "",
        ),
        row(
            KEEP,
            "action/targetStorageClass = \"archive\"",
            no_action("targetStorageClass belongs to transition"),
            "selection/storageClass = \"archive\"",
        ),
        row(
            TAGS,
            "entrepot/subject = \"layer\"",
            word("rules[0].entrepot.subject", "layer", "\"image\",\"tag\""),
            "entrepot/subject = \"image\"",
        ),
        row(
            TAGS,
            "action = {\"type\": \"transition\", \"targetStorageClass\": \"archive\"}",
            at(place, "subject tag cannot be used with transition"),
            "action = {\"type\": \"keep\"}; selection = {\"tagStatus\": \"tagged\", \"tagPrefixList\": [\"v\"]}",
        ),
        row(
            TAGS,
            "selection = {\"tagStatus\": \"any\", \"countType\": \"imageCountMoreThan\", \"countNumber\": 3}",
            at(place, "subject tag needs tagStatus tagged"),
            "",
        ),
        row(
            TAGS,
            "selection = {\"tagStatus\": \"untagged\", \"countType\": \"imageCountMoreThan\", \"countNumber\": 3}",
            at(place, "subject tag needs tagStatus tagged"),
            "",
        ),
        row(
            TAGS,
            "selection/storageClass = \"archive\"; selection/countType = \"sinceImageTransitioned\"; \
             selection/countNumber = 90",
            at(place, "subject tag cannot be used with storageClass archive"),
            "selection/storageClass = \"standard\"",
        ),
        row(
            TAGS,
            "entrepot/signed = \"yes\"",
            typed("rules[0].entrepot.signed", "string", "boolean"),
            "entrepot/signed = false",
        ),
        row(
            TAGS,
            "entrepot/artifactTypes = \"a\"",
            typed("rules[0].entrepot.artifactTypes", "string", "array"),
            "entrepot/artifactTypes = [\"application/*\"]",
        ),
        row(
            TAGS,
            "entrepot/artifactTypes = [\"*****\"]",
            "a pattern of artifactTypes has more wildcards than allowed (rules[0].entrepot.artifactTypes: at most 4)",
            "entrepot/artifactTypes = [\"****\"]",
        ),
        row(
            TAGS,
            "entrepot/artifactTypes = [\"\"]",
            "string \"\" is too short (length: 0, required minimum: 1) (rules[0].entrepot.artifactTypes[0])",
            "",
        ),
        row(
            TAGS,
            "entrepot/artifactTypes = [\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\",\"10\",\"11\"]",
            "array is too long: must have at most 10 elements but instance has 11 elements \
             (rules[0].entrepot.artifactTypes)",
            "entrepot/artifactTypes = [\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\",\"10\"]",
        ),
    ]
}

#[test]
fn each_check_refuses_and_accepts() {
    let rows = [policy_rows(), rule_rows(), action_rows(), tag_rows(), count_rows(), extension_rows()].concat();
    assert!(rows.len() >= 120, "{} rows", rows.len());
    let mut wrong = Vec::new();
    for (base, refused, expected, accepted) in rows {
        match Policy::parse(&edited(base, refused), Dialect::Extended) {
            Ok(_) => wrong.push(format!("{base} with {refused} was accepted")),
            Err(error) if told(&error.to_string()) != expected => {
                wrong.push(format!("{base} with {refused}:\n  {}\n  {expected}", told(&error.to_string())));
            }
            Err(_) => {}
        }
        if let Err(error) = Policy::parse(&edited(base, accepted), Dialect::Extended) {
            wrong.push(format!("{base} with {accepted} was refused: {error}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[track_caller]
fn told(message: &str) -> String {
    message.strip_prefix("Lifecycle policy validation failure: ").expect("ECR's beginning").to_owned()
}

fn edited(base: &str, edits: &str) -> String {
    let mut policy: Value = serde_json::from_str(&text(&[base])).expect("JSON");
    for edit in edits.split("; ").filter(|edit| !edit.is_empty()) {
        let path = |path: &str| match path.strip_prefix('/') {
            Some(_) => path.to_owned(),
            None => format!("/rules/0/{path}"),
        };
        let (place, value) = match edit.strip_prefix('-') {
            Some(removed) => (path(removed), None),
            None => {
                let (place, value) = edit.split_once(" = ").expect("an edit");
                (path(place), Some(serde_json::from_str(value).expect("JSON")))
            }
        };
        let (object, member) = place.rsplit_once('/').expect("a path");
        let object = policy.pointer_mut(object).and_then(Value::as_object_mut).expect("an object");
        match value {
            Some(value) => drop(object.insert(member.to_owned(), value)),
            None => drop(object.remove(member)),
        }
    }
    policy.to_string()
}

/// Rules that each are right, and are refused together; and rules beside them that may stand together.
#[test]
fn rules_stand_together() {
    let any = "Rule for tagStatus=ANY must have the lowest priority per storage class (rules: rulePriority";
    let untagged = "Only one rule can select Untagged images per storage class (rules: rulePriority";
    let entries = "Tag prefixes and patterns must be unique across rules per storage class. (rules: rulePriority";
    let priorities = "Rule priorities must be unique. (rules: rulePriority";
    let signed = r#"{"signed": true}"#;
    let keeps = r#"{"pulledWithinDays": 30}"#;
    let keep_any = format!("1 any keep {keeps}");
    let unsigned_any = format!("1 any pushed 9 expire {signed}");
    let keep_v = format!("1 tagged v* keep {keeps}");
    let rows: &[(&[&str], String, &[&str])] = &[
        (
            &["1 any more 1 expire", "1 untagged more 1 expire"],
            format!("{priorities} 1)"),
            &["2 any more 1 expire", "1 untagged more 1 expire"],
        ),
        (
            &["5 tagged a more 1 expire", "7 tagged b more 1 expire", "5 tagged c more 1 expire"],
            format!("{priorities} 5)"),
            &["5 tagged a more 1 expire", "7 tagged b more 1 expire", "6 tagged c more 1 expire"],
        ),
        (
            &["1 any more 1 expire", "2 untagged more 1 expire"],
            format!("{any} 1, 2)"),
            &["2 any more 1 expire", "1 untagged more 1 expire"],
        ),
        (
            &["1 any more 1 expire", "2 tagged a more 1 expire"],
            format!("{any} 1, 2)"),
            &["1 any archived 90 expire", "2 tagged a more 1 expire"],
        ),
        (
            &["1 any more 1 expire", "2 any pushed 1 expire"],
            format!("{any} 1, 2)"),
            &["1 any more 1 expire", "2 any archived 90 expire"],
        ),
        (
            &["1 any archived 90 expire", "2 tagged a archived 90 expire"],
            format!("{any} 1, 2)"),
            &["1 any archived 90 expire", "2 any more 1 expire"],
        ),
        (&["1 any keep", "2 any more 1 expire"], format!("{any} 1, 2)"), &[&keep_any, "2 any more 1 expire"]),
        (
            &["1 any more 1 expire", &keep_v.replace("1 ", "2 ")],
            format!("{any} 1, 2)"),
            &[&keep_v, "2 any more 1 expire"],
        ),
        (
            &["1 untagged more 1 expire", "2 untagged pushed 1 expire"],
            format!("{untagged} 1, 2)"),
            &["1 untagged archived 90 expire", "2 untagged pushed 1 expire"],
        ),
        (
            &["1 untagged archived 90 expire", "2 untagged archived 91 expire"],
            format!("{untagged} 1, 2)"),
            &["1 untagged more 1 expire", "2 any more 1 expire"],
        ),
        (
            &["1 untagged keep", "2 untagged pushed 1 expire"],
            format!("{untagged} 1, 2)"),
            &["1 untagged pushed 1 expire"],
        ),
        (
            &["1 tagged a* more 1 expire", "2 tagged a* pushed 1 expire"],
            format!("{entries} 1, 2)"),
            &["1 tagged a* more 1 expire", "2 tagged b* pushed 1 expire"],
        ),
        (
            &["1 prefix a more 1 expire", "2 prefix a pushed 1 expire"],
            format!("{entries} 1, 2)"),
            &["1 prefix a more 1 expire", "2 prefix ab pushed 1 expire"],
        ),
        (
            &["1 prefix a,b more 1 expire", "2 prefix b,c pushed 1 expire"],
            format!("{entries} 1, 2)"),
            &["1 prefix a,b more 1 expire", "2 tagged b,c pushed 1 expire"],
        ),
        (
            &["1 tagged a* pushed 1 expire", "2 tagged b* pushed 1 expire", "3 tagged b*,c* pushed 1 archive"],
            format!("{entries} 2, 3)"),
            &["1 tagged a* pushed 1 expire", "2 tagged a* archived 90 expire"],
        ),
        (
            &["1 tagged v* keep", "2 tagged v* more 1 expire"],
            format!("{entries} 1, 2)"),
            &[&keep_v, "2 tagged v* more 1 expire"],
        ),
        (
            &["2 any more 1 expire", "3 untagged more 1 expire", "1 tagged a more 1 expire"],
            format!("{any} 2, 3)"),
            &[&unsigned_any, "2 any more 1 expire"],
        ),
    ];
    for (refused, expected, accepted) in rows {
        let error = Policy::parse(&text(refused), Dialect::Extended).map_err(|error| told(&error.to_string()));
        assert_eq!(error.err().as_ref(), Some(expected), "{refused:?}");
        policy(accepted);
    }
}

#[test]
fn texts_that_are_no_policies() {
    let rule = r#"{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":1},
        "action":{"type":"expire"}}"#;
    for (text, hint) in [
        ("", "EOF while parsing a value at line 1 column 0"),
        ("rules", "expected value at line 1 column 1"),
        ("[]", "it is not a JSON object"),
        ("null", "it is not a JSON object"),
        ("\"rules\"", "it is not a JSON object"),
        ("{\"rules\":[]", "EOF while parsing an object at line 1 column 11"),
        ("{\"rules\":[]} {}", "trailing characters at line 1 column 14"),
        ("{\"rules\":[],}", "trailing comma at line 1 column 13"),
        ("{'rules':[]}", "key must be a string at line 1 column 2"),
        ("{\"rules\":[],\"rules\":[]}", "a member is written twice at line 1 column 19"),
        (
            &format!("{{\"rules\":[{}]}}", rule.replace("\"countNumber\":1", "\"countNumber\":1,\"countNumber\":9")),
            "a member is written twice at line 1 column 121",
        ),
        ("\u{feff}{\"rules\":[]}", "expected value at line 1 column 1"),
        ("{\"rules\":[1e999]}", "number out of range at line 1 column 15"),
        ("{\"rules\":[NaN]}", "expected value at line 1 column 11"),
    ] {
        let error = Policy::parse(text, Dialect::Extended).map_err(|error| told(&error.to_string()));
        assert_eq!(error.err(), Some(format!("{NOT_A_POLICY}{hint})")), "{text}");
    }
    assert!(Policy::parse(&format!("{{\"rules\":[{rule}]}}"), Dialect::Ecr).is_ok());
    assert!(Policy::parse(&format!(" \n{{\"rules\"\t: [{rule}] }}\r\n"), Dialect::Ecr).is_ok());
}

#[test]
fn numbers_of_things_are_limited() {
    let rules = |count: u64| -> Vec<String> { (1..=count).map(|n| format!("{n} prefix p{n} more 1 expire")).collect() };
    let parsed = |rules: &[String]| {
        let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
        Policy::parse(&text(&rules), Dialect::Ecr).map(drop).map_err(|error| told(&error.to_string()))
    };
    assert_eq!(parsed(&rules(50)), Ok(()));
    assert_eq!(
        parsed(&rules(51)),
        Err("array is too long: must have at most 50 elements but instance has 51 elements (rules)".to_owned())
    );
    let listed = |rule: u32, entries: u32| {
        let entries: Vec<String> = (1..=entries).map(|n| format!("{rule}.{n}")).collect();
        format!("{rule} prefix {} more 1 expire", entries.join(","))
    };
    assert_eq!(parsed(&[listed(1, 100)]), Ok(()));
    assert_eq!(
        parsed(&[listed(1, 101)]),
        Err("array is too long: must have at most 100 elements but instance has 101 elements \
             (rules[0].selection.tagPrefixList)"
            .to_owned())
    );
    assert_eq!(parsed(&[1, 2, 3, 4, 5].map(|rule| listed(rule, 100))), Ok(()));
    assert_eq!(
        parsed(&[listed(1, 100), listed(2, 100), listed(3, 100), listed(4, 100), listed(5, 99), listed(6, 2)]),
        Err("array is too long: must have at most 500 elements but instance has 501 elements (rules: tagPrefixList and \
             tagPatternList of all rules together)"
            .to_owned())
    );
}

#[test]
fn characters_are_limited() {
    let policy = |characters: usize| {
        let mut policy: Value = serde_json::from_str(&text(&[COUNT])).unwrap();
        policy["rules"][0]["description"] = json!("");
        let others = policy.to_string().chars().count();
        policy["rules"][0]["description"] = json!("ä".repeat(characters - others));
        policy.to_string()
    };
    assert!(Policy::parse(&policy(30_720), Dialect::Ecr).is_ok(), "characters, not bytes");
    let error = Policy::parse(&policy(30_721), Dialect::Ecr).map_err(|error| told(&error.to_string()));
    assert_eq!(error.err(), Some(format!("{NOT_A_POLICY}it has more than 30720 characters)")));
}

/// Where the registry has its extensions off, all of them are ECR's refusals, and say so.
#[test]
fn extensions_are_off_in_ecrs_dialect() {
    let off = "is an extension of this registry, which has its extensions off (lifecycle.extensions))";
    let expired = "1 any pulled 30 expire";
    for (rules, place) in [
        (text(&[KEEP]), "entrepot"),
        (text(&[NEWEST]), "entrepot"),
        (text(&[expired]), "entrepot"),
        (edited(KEEP, "-/entrepot"), "(rules[0].action.type: keep"),
        (edited(COUNT, "entrepot = {}"), "(rules[0]: entrepot"),
        (
            edited(expired, "-/entrepot"),
            "(rules[0].selection: expire with sinceImagePulled, where ECR has transition only,",
        ),
    ] {
        let error = Policy::parse(&rules, Dialect::Ecr).unwrap_err().to_string();
        assert!(error.ends_with(&format!("{place} {off}")), "{error}");
    }
    for rules in [COUNT, PUSHED, PULLED, ARCHIVED, TAGGED, PREFIX, UNTAGGED] {
        assert_eq!(Policy::parse(&text(&[rules]), Dialect::Ecr), Policy::parse(&text(&[rules]), Dialect::Extended));
    }
}

/// Values are repeated in a message in one line and shortened.
#[test]
fn messages_repeat_little() {
    let long = "x".repeat(20_000);
    let names: Vec<String> = (0..500).map(|n| format!("\"{n}\u{1b}[31m\\n{}\": 1", "y".repeat(40))).collect();
    for policy in [
        edited(COUNT, &format!("action/type = \"{long}\"")),
        edited(COUNT, &format!("selection/tagStatus = \"{long}\"")),
        edited(COUNT, &format!("{long} = 1")),
        edited(PREFIX, &format!("selection/tagPrefixList = [\"{long}\", \"{long}\"]")),
        format!("{{\"rules\": [], {}}}", names.join(",").replace('\u{1b}', "\\u001b")),
    ] {
        let message = Policy::parse(&policy, Dialect::Extended).unwrap_err().to_string();
        assert!(message.chars().count() < 700, "{message}");
        assert!(!message.contains(char::is_control), "{message:?}");
    }
}

#[test]
fn pull_times_are_read_by_some_policies() {
    for (rules, reads) in [
        (COUNT, false),
        (PUSHED, false),
        (PULLED, true),
        (ARCHIVED, false),
        (KEEP, false),
        (NEWEST, false),
        ("1 any pulled 30 expire", true),
        (r#"1 any keep {"pulledWithinDays": 30}"#, true),
        (r#"1 any keep {"pushedWithinDays": 30}"#, false),
        (r#"1 tagged v* pulled 30 expire {"subject": "tag"}"#, true),
    ] {
        assert_eq!(policy(&[rules]).reads_pull_times(), reads, "{rules}");
    }
}
