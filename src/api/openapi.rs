//! The API's description, generated from the handlers: a handler and its
//! description are registered in one call, which also adds what holds for
//! every route of its family (errors, the parameters in its path, and the
//! refusal of queries where there are none).

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, get, on};
use serde_json::Value;
use utoipa::__dev::SchemaReferences;
use utoipa::openapi::path::{HttpMethod, Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, OpenApiBuilder, Paths, Ref, RefOr, Required,
    ResponseBuilder, Schema,
};
use utoipa::{PartialSchema, Path, ToSchema};

use super::errors::{Code, Problem};
use super::input::first_parameter;
use super::{App, compat, wire};

/// Routes and their descriptions.
#[derive(Default)]
pub(super) struct Routes {
    router: Router<App>,
    paths: Paths,
    schemas: Vec<(String, RefOr<Schema>)>,
    tag: &'static str,
}

impl Routes {
    /// What follows belongs to this chapter of the description.
    pub(super) fn chapter(mut self, tag: &'static str) -> Self {
        self.tag = tag;
        self
    }

    /// Serves what `D` describes by `handler`.
    pub(super) fn add<D, H, T>(mut self, handler: H) -> Self
    where
        D: Path + SchemaReferences,
        H: Handler<T, App>,
        T: 'static,
    {
        let path = D::path();
        let native = !compat::is_ours(&path);
        let mut operation = D::operation();
        let queried = operation.parameters.iter().flatten().any(is_query);
        complete(&mut operation, &path, native);
        tell_roles(&mut operation);
        operation.security.get_or_insert_default().push(SecurityRequirement::new("session", [""; 0]));
        operation.tags = Some(vec![self.tag.to_owned()]);
        let mut route = on(filter(&D::methods()), handler);
        if native && !queried {
            route = route.route_layer(from_fn(refuse_query));
        }
        self.router = self.router.route(&path, route);
        self.paths.add_path_operation(path, D::methods(), operation);
        D::schemas(&mut self.schemas);
        self
    }

    /// The routes alone.
    pub(super) fn into_router(self) -> Router<App> {
        self.router
    }
}

fn filter(methods: &[HttpMethod]) -> MethodFilter {
    match methods {
        [HttpMethod::Get] => MethodFilter::GET,
        [HttpMethod::Put] => MethodFilter::PUT,
        [HttpMethod::Post] => MethodFilter::POST,
        [HttpMethod::Delete] => MethodFilter::DELETE,
        [HttpMethod::Patch] => MethodFilter::PATCH,
        others => unreachable!("no handler is described with {} methods like these", others.len()),
    }
}

fn is_query(parameter: &RefOr<Parameter>) -> bool {
    match parameter {
        RefOr::T(parameter) => parameter.parameter_in == ParameterIn::Query,
        RefOr::Ref(_) => false,
    }
}

/// Adds to an operation what holds for all of its family.
fn complete(operation: &mut Operation, path: &str, native: bool) {
    let named = path.split(['{', '}']).skip(1).step_by(2);
    for name in named {
        operation.parameters.get_or_insert_default().push(RefOr::T(path_parameter(name)));
    }
    let in_path = path.contains('{');
    let has_body = operation.request_body.is_some();
    let always = [
        ("400", "The request can't be understood, or breaks a rule", true),
        ("401", "No valid API key", true),
        ("403", "The API key may not do this", true),
        ("404", "There is no such thing, or it is another account's", in_path),
        ("413", "The body is too large", has_body),
    ];
    let failing = if native {
        ("503", "The store is not available: repeat after Retry-After", true)
    } else {
        ("500", "Something failed here: repeat after Retry-After", true)
    };
    let (content_type, schema) = if native {
        ("application/problem+json", wire::Problem::name())
    } else {
        ("application/json", wire::compat::Error::name())
    };
    for (status, description, applies) in always.into_iter().chain([failing]) {
        if applies {
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema.clone()))).build();
            let response = ResponseBuilder::new().description(description).content(content_type, content);
            let known = &mut operation.responses.responses;
            known.entry(status.to_owned()).or_insert_with(|| RefOr::T(response.build()));
        }
    }
}

/// Says in words who may call: pages that render the document show little of
/// `security`, from which this is written.
fn tell_roles(operation: &mut Operation) {
    let required = serde_json::to_value(&operation.security).expect("a requirement is JSON by construction");
    let roles = required.pointer("/0/bearer").and_then(Value::as_array).into_iter().flatten();
    let roles: Vec<_> = roles.filter_map(Value::as_str).collect();
    let told = format!("Roles: {}.", roles.join(", "));
    operation.description = Some(match operation.description.take() {
        Some(text) if !text.trim().is_empty() => format!("{}\n\n{told}", text.trim_end()),
        Some(_) | None => told,
    });
}

fn path_parameter(name: &str) -> Parameter {
    let description = match name {
        "accountId" => "The account's UUID, hyphens optional, in any case.",
        "businessAccountId" => "Meta's id of the WABA, digits.",
        "eventId" => "The event's UUID.",
        "deliveryId" => "The delivery's id.",
        "webhookId" => "The webhook's UUID.",
        _ => "The id.",
    };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(description))
        .schema(Some(String::schema()))
        .build()
}

/// Stands before routes that have no query parameters.
async fn refuse_query(request: Request, next: Next) -> Response {
    match first_parameter(request.uri()) {
        None => next.run(request).await,
        Some(name) => {
            Problem::new(Code::UnknownParameter, format!("unknown parameter `{name}`: this takes none"))
                .into_response()
        }
    }
}

/// The document, as JSON.
pub(super) fn document(routes: &[&Routes]) -> String {
    let mut paths = Paths::new();
    let mut components = ComponentsBuilder::new()
        .schema(wire::Problem::name(), wire::Problem::schema())
        .schema(wire::compat::Error::name(), wire::compat::Error::schema())
        .security_scheme("bearer", scheme())
        .security_scheme("session", session_scheme());
    for part in routes {
        paths.merge(part.paths.clone());
        for (name, schema) in &part.schemas {
            components = components.schema(name, schema.clone());
        }
    }
    let info = InfoBuilder::new()
        .title("Bellwether")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .build();
    let document = OpenApiBuilder::new().info(info).paths(paths).components(Some(components.build())).build();
    document.to_json().expect("a document is JSON by construction")
}

const ABOUT: &str = "Delivers changes of WhatsApp business numbers to webhooks. \
Two APIs: the native one under `/v1`, whose errors are RFC 9457 problems with a stable `code`, and the \
8x8-compatible configuration of webhooks under `/api/v1`. Each operation names the roles of API keys that \
may use it. Not described here, because they are no part of it: `/ingest/meta/{app}`, where Meta posts, and \
`/healthz`, `/readyz` and `/metrics`; nor what webhooks get, which `/asyncapi.json` and \
`/events.schema.json` describe.";

fn scheme() -> SecurityScheme {
    let described = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An API key: `Authorization: Bearer bwk_...`"));
    SecurityScheme::Http(described.build())
}

fn session_scheme() -> SecurityScheme {
    let about = "A browser's session, begun by POST /v1/session; may do what the key that began it may. \
All but GET needs the header `X-CSRF-Token` with it.";
    SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description("__Host-bellwether", about)))
}

/// What webhooks get, made from the types of the receiving crate.
const EVENTS: &str = include_str!("../../docs/reference/events.schema.json");
const WEBHOOK: &str = include_str!("../../docs/reference/asyncapi.json");

const PAGE: &str = include_str!("../../assets/docs.html");
const RENDERER: &[u8] = include_bytes!("../../assets/vendor/rapidoc-9.3.8.min.js");

/// Only what this server sends runs or loads. The renderer styles its elements
/// by attributes, which need `unsafe-inline` styles; scripts do not.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; img-src 'self' data:; \
connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The document, those of the events, and a page that renders it without any other host.
pub(super) fn router(document: String) -> Router<App> {
    let document: Arc<str> = document.into();
    let json = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")];
    let webhook = json.clone();
    let schema = [(CONTENT_TYPE, "application/schema+json"), (CACHE_CONTROL, "no-cache")];
    let page = [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, PAGE_POLICY)];
    let script = [(CONTENT_TYPE, "text/javascript; charset=utf-8"), (CACHE_CONTROL, "max-age=86400")];
    Router::new()
        .route("/openapi.json", get(move || async move { (json, document.to_string()) }))
        .route("/events.schema.json", get(move || async move { (schema, EVENTS) }))
        .route("/asyncapi.json", get(move || async move { (webhook, WEBHOOK) }))
        .route("/docs", get(move || async move { (page, PAGE) }))
        .route("/docs/rapidoc.js", get(move || async move { (script, RENDERER) }))
}
