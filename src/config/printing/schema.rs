//! A JSON Schema of the file (draft 2020-12), from the same keys that reading uses: for editors, and for checks where
//! the program is not at hand.
//!
//! It takes what reading takes; only nonsense under a key that reading passes over, such as the `url` of an offline
//! upstream, is refused here. Reading refuses more: what lies between keys, in other files, or in a text beyond its
//! form. Required keys are those of the file, though a variable of the environment may give them as well.

use serde_json::{Map, Value as Json, json};

use crate::config::reading::{Declaration, Fallback, MAX_ELEMENTS, Section, Shape, Value};
use crate::config::settings::{SECTION, SECTIONS};

/// The schema, as JSON on several lines.
pub fn schema() -> String {
    let defined = SECTIONS.iter().filter(|section| !section.name.is_empty());
    let mut definitions: Map<String, Json> =
        defined.map(|section| (section.name.to_owned(), of_section(section))).collect();
    definitions.insert(
        "size".to_owned(),
        json!({
            "type": "string",
            "pattern": r"^\s*[0-9]+\s*([KMGT]iB|[KMGT]B|kB|B)?\s*$",
            "description": "Whole bytes, or a whole number with a unit, such as \"50GiB\".",
        }),
    );
    definitions.insert(
        "duration".to_owned(),
        json!({
            "type": "string",
            "pattern": r"^\s*([0-9]+(ms|s|m|h|d)\s*)+$",
            "description": "Whole numbers with ms, s, m, h or d, such as \"60s\" or \"1h30m\".",
        }),
    );
    let mut whole = of_section(&SECTION);
    if let Some(whole) = whole.as_object_mut() {
        whole.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        whole.insert("title".to_owned(), json!("Configuration of entrepot"));
        whole.insert("description".to_owned(), json!("The file that `entrepot --config` reads, in TOML."));
        whole.insert("$defs".to_owned(), Json::Object(definitions));
    }
    format!("{whole:#}")
}

fn of_section(section: &Section) -> Json {
    let properties: Map<String, Json> = section.keys.iter().map(|key| (key.name.to_owned(), of_key(key))).collect();
    let is_required = |key: &&&Declaration| matches!(key.fallback, Fallback::Required);
    let required: Vec<_> = section.keys.iter().filter(is_required).map(|key| key.name).collect();
    let mut schema = json!({
        "type": "object",
        "description": section.meaning,
        "properties": properties,
        "additionalProperties": false,
    });
    if let (Some(schema), false) = (schema.as_object_mut(), required.is_empty()) {
        schema.insert("required".to_owned(), json!(required));
    }
    schema
}

fn of_key(key: &Declaration) -> Json {
    let description = match key.fallback {
        Fallback::Follows(words) => format!("{} Default: {words}.", key.meaning),
        _ => key.meaning.to_owned(),
    };
    let mut schema = of_shape(key.shape);
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("description".to_owned(), json!(description));
        if let Some(default) = key.usual_value() {
            schema.insert("default".to_owned(), of_value(&default));
        }
    }
    schema
}

fn of_shape(shape: Shape) -> Json {
    match shape {
        Shape::Text | Shape::Path => text(),
        Shape::TextOrEmpty => json!({ "type": "string" }),
        // `config show` prints this in place of a secret.
        Shape::Secret => json!({ "type": "string", "minLength": 1, "not": { "pattern": r"(^|://)\(secret\)$" } }),
        Shape::Flag => json!({ "type": "boolean" }),
        Shape::Choice(words) => json!({ "enum": words }),
        Shape::ChoiceOrFlag(words) => {
            let words = words.iter().map(|word| json!(word));
            let flags = [json!(true), json!(false), json!("true"), json!("false")];
            json!({ "enum": words.chain(flags).collect::<Vec<_>>() })
        }
        Shape::Size { min, max } => {
            json!({ "anyOf": [{ "type": "integer", "minimum": min, "maximum": max }, { "$ref": "#/$defs/size" }] })
        }
        Shape::Count { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Shape::Window => json!({ "$ref": "#/$defs/duration" }),
        // More than zero.
        Shape::Timeout => json!({ "$ref": "#/$defs/duration", "pattern": "[1-9]" }),
        Shape::Texts => list(text()),
        Shape::Hosts => list(json!({ "type": "string", "pattern": "^[^/]+$" })),
        Shape::Urls => list(json!({ "type": "string", "pattern": "[hH][tT][tT][pP][sS]?://" })),
        Shape::Addresses => list(address()),
        Shape::Networks => list(json!({ "type": "string", "pattern": "^[0-9a-fA-F.:]+(/[0-9]+)?$" })),
        // At least one, which an array of none is not.
        Shape::Listeners(section) => {
            let listener = json!({ "anyOf": [address(), reference(section)] });
            json!({ "allOf": [list(listener)], "not": { "const": [] } })
        }
        Shape::Table(section) => reference(section),
        Shape::Tables(section) => json!({ "type": "array", "items": reference(section), "maxItems": MAX_ELEMENTS }),
    }
}

fn text() -> Json {
    json!({ "type": "string", "minLength": 1 })
}

fn address() -> Json {
    json!({ "type": "string", "pattern": ":[0-9]+$" })
}

fn reference(section: &Section) -> Json {
    json!({ "$ref": format!("#/$defs/{}", section.name) })
}

/// One element may be written without the list.
fn list(element: Json) -> Json {
    json!({ "anyOf": [element, { "type": "array", "items": element, "maxItems": MAX_ELEMENTS }] })
}

fn of_value(value: &Value) -> Json {
    match value {
        Value::Text(text) => json!(text),
        Value::Integer(number) => json!(number),
        Value::Flag(flag) => json!(flag),
        Value::List(nodes) => nodes.iter().map(|node| of_value(&node.value)).collect(),
        // No default is a table.
        Value::Table(_) | Value::Other(_) => Json::Null,
    }
}
