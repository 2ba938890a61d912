//! The OpenAPI document: what the routes say of themselves, and what is the same for all of them.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{Object, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, OpenApi, PathItem, Ref, RefOr, Required, ResponseBuilder};
use utoipa::{OpenApi as _, ToSchema};

/// What any operation may answer.
const ANYWHERE: &[(&str, &str)] = &[
    ("400", "A parameter or the body is wrong"),
    ("401", "The admin key or session is missing or not good"),
    ("403", "The caller may not do this"),
    (
        "429",
        "Tried too often, or too many run already: see retry-after",
    ),
    ("503", "The database is away or slow"),
];
/// What those about one object may.
const OF_OBJECTS: &[(&str, &str)] = &[("404", "It isn't there, or is somebody else's")];
/// What those that change something may.
const OF_CHANGES: &[(&str, &str)] = &[
    ("404", "What it refers to isn't there"),
    ("408", "The body takes too long"),
    ("409", "It is taken, or not as it would have to be"),
    ("413", "The body is too large"),
];

/// What those may that ask how something is.
const OF_CONDITIONS: &[(&str, &str)] = &[("412", "If-Match is stale")];

/// What goes wrong.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is the shape of what error.rs puts together")]
pub(crate) struct Error {
    /// `error`
    r#type: String,
    error: ErrorBody,
    request_id: String,
}

/// Its body.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is the shape of what error.rs puts together")]
struct ErrorBody {
    /// `invalid_request_error`, `authentication_error`, ...
    r#type: String,
    message: String,
    /// `error_code`, and where there is one the `path` of the fault, or `faults` of rules.
    #[schema(value_type = Object)]
    details: serde_json::Value,
}

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "MindWeave Gateway: admin API",
        description = "Organizations, projects, keys, policies: what decides about requests to the Claude API."
    ),
    components(schemas(Error, ErrorBody)),
    security(("x-api-key" = []), ("bearer" = []))
)]
struct Document;

/// Without the routes.
pub(crate) fn begin() -> OpenApi {
    Document::openapi()
}

/// What the macros don't say.
pub(crate) fn complete(mut document: OpenApi) -> OpenApi {
    env!("CARGO_PKG_VERSION").clone_into(&mut document.info.version);
    let components = document.components.get_or_insert_default();
    let key = ApiKey::Header(ApiKeyValue::new("x-api-key"));
    components.add_security_scheme("x-api-key", SecurityScheme::ApiKey(key));
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    for item in document.paths.paths.values_mut() {
        let PathItem {
            get, post, delete, ..
        } = item;
        for operation in get.iter_mut() {
            describe(operation, &[ANYWHERE, of_object(operation)]);
        }
        for operation in post.iter_mut().chain(delete.iter_mut()) {
            describe(operation, &[ANYWHERE, OF_CHANGES, of_conditions(operation)]);
            describe_repetition(operation);
        }
    }
    show_examples(&mut document);
    document
}

/// A body for each operation that takes one, by the operation's id.
const EXAMPLES: &str = include_str!("document/examples.json");

fn show_examples(document: &mut OpenApi) {
    let mut examples: BTreeMap<String, Value> = serde_json::from_str(EXAMPLES).unwrap_or_default();
    let operations = document.paths.paths.values_mut().flat_map(|item| {
        let PathItem { post, delete, .. } = item;
        post.iter_mut().chain(delete.iter_mut())
    });
    for operation in operations {
        let example = operation.operation_id.as_ref();
        let example = example.and_then(|id| examples.remove(id));
        if let Some(RefOr::T(body)) = &mut operation.request_body
            && let Some(RefOr::T(content)) = body.content.get_mut("application/json")
        {
            content.example = example;
        }
    }
}

/// A header that a request may have.
pub(crate) fn header_parameter(name: &str, description: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(Object::with_type(Type::String)))
        .build()
}

fn of_object(operation: &Operation) -> &'static [(&'static str, &'static str)] {
    if has_parameter(operation, |it| it.parameter_in == ParameterIn::Path) {
        OF_OBJECTS
    } else {
        &[]
    }
}

fn of_conditions(operation: &Operation) -> &'static [(&'static str, &'static str)] {
    if has_parameter(operation, |it| it.name == "If-Match") {
        OF_CONDITIONS
    } else {
        &[]
    }
}

fn has_parameter(operation: &Operation, is_meant: impl Fn(&Parameter) -> bool) -> bool {
    let mut parameters = operation.parameters.iter().flatten();
    parameters.any(|it| matches!(it, RefOr::T(parameter) if is_meant(parameter)))
}

/// What makes something, for a caller with a key, makes it once if so asked.
fn describe_repetition(operation: &mut Operation) {
    let responses = &mut operation.responses.responses;
    if operation.security.is_some() || responses.contains_key("200") {
        return;
    }
    let Some(RefOr::T(made)) = responses.get_mut("201") else {
        return;
    };
    let replayed = HeaderBuilder::new()
        .description(Some("`true`: this was made by the same request before"))
        .schema(Some(Object::with_type(Type::String)))
        .build();
    made.headers
        .insert("idempotent-replayed".to_owned(), RefOr::T(replayed));
    let wanted = "1 to 255 visible characters: the same request again, within 24 hours, makes nothing and gets the same answer";
    let parameter = header_parameter("Idempotency-Key", wanted);
    operation
        .parameters
        .get_or_insert_default()
        .push(RefOr::T(parameter));
}

fn describe(operation: &mut Operation, errors: &[&[(&str, &str)]]) {
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            let description = if status == "201" { "Made" } else { "Done" };
            description.clone_into(&mut response.description);
        }
    }
    for (status, description) in errors.iter().copied().flatten() {
        let schema = Ref::from_schema_name("Error");
        let response = ResponseBuilder::new()
            .description(*description)
            .content("application/json", Content::new(Some(RefOr::Ref(schema))))
            .build();
        let responses = &mut operation.responses.responses;
        responses.insert((*status).to_owned(), RefOr::T(response));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::*;

    /// Of each operation with a body: its id, and what the document says of the body.
    fn bodies() -> Vec<(String, Value)> {
        let document = serde_json::to_value(crate::openapi()).unwrap();
        let paths = document["paths"].as_object().unwrap().values();
        let operations = paths.flat_map(|path| path.as_object().unwrap().values());
        let with_body = operations.filter(|operation| operation.get("requestBody").is_some());
        let read = |operation: &Value| {
            let id = operation["operationId"].as_str().unwrap().to_owned();
            let body = &operation["requestBody"]["content"]["application/json"];
            (id, body.clone())
        };
        with_body.map(read).collect()
    }

    #[test]
    fn every_body_has_an_example_and_every_example_a_body() {
        let examples: BTreeMap<String, Value> = serde_json::from_str(EXAMPLES).unwrap();
        let shown = bodies();
        let ids: BTreeSet<_> = shown.iter().map(|(id, _)| id.clone()).collect();
        assert_eq!(ids, examples.into_keys().collect());
        for (id, body) in shown {
            assert!(body["example"].is_object(), "{id}");
        }
    }

    /// Two that have the same name would be one in the document: whichever comes last.
    #[test]
    fn no_two_operations_have_their_body_in_common() {
        let mut seen = BTreeMap::new();
        for (id, body) in bodies() {
            let schema = body["schema"]["$ref"].clone();
            // The proof that something of one's own is taken away, or made anew.
            if schema == json!("#/components/schemas/WithCode") {
                continue;
            }
            let other = seen.insert(schema.to_string(), id.clone());
            assert_eq!(other, None, "{id}: {schema}");
        }
    }
}
