//! Routes: from a request to its response.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, SERVER};
use hyper::{Method, Request, Response, StatusCode};
use plimsoll_units::{Clock as _, RunNanos, Tokens};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::faults::Planted;
use crate::http::answer::{Answer, Exchange, TokenStream};
use crate::http::ask::{Api, Ask, tokenize};
use crate::http::chunks::Chunks;
use crate::http::desk::Desk;
use crate::http::failure::Failure;
use crate::http::socket::{Carries, Marks};
use crate::http::{Phase, Shared, pages};
use crate::metrics::render;
use crate::replica::{Command, Submission, lock};
use crate::truth::Truth;

/// The largest body that is read, bytes.
const BODY_LIMIT: usize = 64 << 20;

/// Everything a handler can reach.
struct Context {
    desk: Rc<Desk>,
    marks: Rc<Marks>,
    shared: Arc<Shared>,
    outbox: usize,
}

/// Answers one request.
pub(crate) async fn respond(
    request: Request<Incoming>,
    desk: Rc<Desk>,
    marks: Rc<Marks>,
    shared: Arc<Shared>,
    outbox: usize,
) -> Response<Answer> {
    let context = Context { desk, marks, shared, outbox };
    let mut response = match route(request, &context).await {
        Ok(response) => response,
        Err(failure) => {
            let mut response = typed(failure.status, "application/json", failure.body);
            if let Some(method) = failure.allow {
                let allowed = if method == Method::POST { "POST" } else { "GET" };
                response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
            }
            response
        }
    };
    let headers = response.headers_mut();
    headers.insert(SERVER, HeaderValue::from_static("plimsoll-sim"));
    if *context.shared.phase.borrow() != Phase::Serving {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A response with a body that is there.
fn typed(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<bytes::Bytes>,
) -> Response<Answer> {
    let mut response = Response::new(Answer::plain(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn json(value: &Value) -> Response<Answer> {
    typed(StatusCode::OK, "application/json", value.to_string())
}

async fn route(request: Request<Incoming>, context: &Context) -> Result<Response<Answer>, Failure> {
    let shared = &context.shared;
    let path = request.uri().path().to_owned();
    let wanted = match path.as_str() {
        "/health" | "/ping" | "/version" | "/v1/models" | "/metrics" | "/load" | "/server_info" => {
            Method::GET
        }
        "/v1/chat/completions" | "/v1/completions" | "/tokenize" | "/reset_prefix_cache" => {
            Method::POST
        }
        _ => return Err(Failure::no_route()),
    };
    let also = path == "/ping" && *request.method() == Method::POST;
    if *request.method() != wanted && !also {
        return Err(Failure::wrong_method(wanted));
    }
    Ok(match path.as_str() {
        "/health" | "/ping" => Response::new(Answer::plain(bytes::Bytes::new())),
        "/version" => json(&pages::version()),
        "/v1/models" => json(&pages::models(shared, unix_seconds(shared, shared.clock.now()))),
        "/server_info" => json(&pages::server_info(shared)),
        "/load" => json(&serde_json::json!({ "server_load": unfinished(shared) })),
        "/metrics" => {
            let stats: Vec<_> =
                shared.replicas.iter().map(|replica| lock(&replica.stats).clone()).collect();
            let started = shared.clock.wall_anchor();
            let page = render(&stats, &shared.profile.name, &shared.limits, started);
            typed(StatusCode::OK, "text/plain; version=1.0.0; charset=utf-8", page)
        }
        "/tokenize" => {
            let body = body_of(request).await?;
            json(&pages::tokens(shared, &tokenize(&body, &shared.profile)?))
        }
        "/reset_prefix_cache" => {
            json(&serde_json::json!({ "success": reset_prefix_cache(shared).await }))
        }
        "/v1/chat/completions" => generate(Api::Chat, request, context).await?,
        _ => generate(Api::Completions, request, context).await?,
    })
}

/// Reads a JSON body whole.
async fn body_of(request: Request<Incoming>) -> Result<bytes::Bytes, Failure> {
    let is_json = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.split(';').next() == Some("application/json"));
    let body = Limited::new(request.into_body(), BODY_LIMIT).collect().await;
    if !is_json {
        return Err(Failure::new(
            StatusCode::BAD_REQUEST,
            "Bad Request",
            Value::Null,
            "1 validation error:\n  Unsupported Media Type: Only 'application/json' is allowed",
        ));
    }
    body.map(http_body_util::Collected::to_bytes).map_err(|error| {
        Failure::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "Bad Request",
            Value::Null,
            &format!("the body could not be read: {error}; at most {BODY_LIMIT} bytes are taken"),
        )
    })
}

fn unfinished(shared: &Shared) -> usize {
    shared.replicas.iter().map(|replica| replica.unfinished.load(Ordering::Relaxed)).sum()
}

/// `true` when every replica emptied its cache.
async fn reset_prefix_cache(shared: &Shared) -> bool {
    let mut success = true;
    for replica in &shared.replicas {
        let (reply, answer) = oneshot::channel();
        replica.send(Command::ResetPrefixCache(reply));
        success &= answer.await.unwrap_or(false);
    }
    success
}

fn unix_seconds(shared: &Shared, stamp: RunNanos) -> u64 {
    shared.clock.wall(stamp).as_secs()
}

/// Chat and completions.
async fn generate(
    api: Api,
    request: Request<Incoming>,
    context: &Context,
) -> Result<Response<Answer>, Failure> {
    let shared = &context.shared;
    let given_id = request
        .headers()
        .get("x-request-id")
        .and_then(|value| value.to_str().ok())
        .filter(|id| id.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte)))
        .map(str::to_owned);
    let body = body_of(request).await?;
    let arrival = shared.clock.now();

    let planted = Planted::on(&shared.faults, shared.count_request());
    if let Some(response) = planted_response(planted, &context.marks)? {
        return Ok(response);
    }
    let mut ask = Ask::read(api, &body, &shared.profile, &shared.limits)?;
    if let Some(tokens) = planted.lost_max_tokens {
        let room = shared.limits.max_model_len - u32::try_from(ask.prompt.len()).unwrap_or(0);
        ask.max_tokens = tokens.clamp(1, room);
    }
    if planted.template_twice > 0 {
        // As far as prompt and answer still fit the context.
        let room = shared.limits.max_model_len - ask.max_tokens;
        let longer = (ask.prompt.len() + planted.template_twice as usize).min(room as usize);
        let last = ask.prompt.last().copied().unwrap_or_default();
        ask.prompt.resize(longer.max(ask.prompt.len()), last);
    }
    if shared.settings.max_num_queued_reqs.is_some_and(|most| unfinished(shared) >= most as usize) {
        return Err(Failure::busy());
    }
    let ticket = shared.tickets.fetch_add(1, Ordering::Relaxed);
    let seed = mix(shared.seed, ticket);
    let prefix = if api == Api::Chat { "chatcmpl" } else { "cmpl" };
    let own_id = format!("{prefix}-{}", given_id.clone().unwrap_or_else(|| format!("{seed:016x}")));
    let prompt_tokens = u32::try_from(ask.prompt.len()).unwrap_or(u32::MAX);
    let created = unix_seconds(shared, arrival);
    let chunks = Chunks::new(api, &own_id, &shared.profile.name, created, seed, prompt_tokens)
        .with_usage(ask.include_usage, ask.continuous_usage);

    let (output_tokens, stops) = output_tokens(&ask, shared, seed);
    if !planted.extra.is_zero() {
        tokio::time::sleep(*planted.extra).await;
    }
    let read = if planted.extra.is_zero() { arrival } else { shared.clock.now() };
    let at = read + shared.profile.front_end.get();
    let replica = shared.choose_replica();
    context.marks.open(|| {
        let id = given_id.unwrap_or(own_id);
        Truth::arrived(id, &body, replica, prompt_tokens, arrival, &shared.clock)
    });
    let mut exchange = Exchange {
        shared: Arc::clone(shared),
        desk: Rc::clone(&context.desk),
        marks: Rc::clone(&context.marks),
        mailbox: context.desk.open(ticket),
        replica,
        ticket,
        stops,
        finished: false,
    };
    let request = crate::Request { prompt: ask.prompt, output_tokens, seed };
    shared.replicas[replica].send(Command::Submit(Submission {
        ticket,
        request,
        at,
        outbox: context.outbox,
        stops,
    }));
    if !ask.stream {
        let usage = exchange.whole().await;
        context.marks.carry(Carries { first: true, last: true });
        let body = chunks.whole(usage, exchange.finish_reason());
        return Ok(typed(StatusCode::OK, "application/json", body));
    }
    let stream = TokenStream::new(exchange, chunks, planted);
    let mut response = Response::new(Answer::Stream(Box::new(stream)));
    let content_type = HeaderValue::from_static("text/event-stream; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    Ok(response)
}

/// How many tokens the answer has, and whether it ends by itself.
fn output_tokens(ask: &Ask, shared: &Shared, seed: u64) -> (Tokens, bool) {
    let natural = shared
        .profile
        .natural_stop
        .filter(|_| !ask.ignore_eos)
        .map(|lengths| lengths.draw(&mut ChaCha8Rng::seed_from_u64(seed)).max(ask.min_tokens));
    match natural {
        Some(tokens) if tokens < ask.max_tokens => (Tokens::new(tokens), true),
        _ => (Tokens::new(ask.max_tokens), false),
    }
}

/// The response of a fault that replaces the whole answer.
fn planted_response(planted: Planted, marks: &Marks) -> Result<Option<Response<Answer>>, Failure> {
    if planted.garbage {
        const GARBAGE: &[u8] = b"\x00\xff\x13 this is no HTTP \x80\x81\r\n\r\n\x00\x01\x02";
        marks.replace_response(bytes::Bytes::from_static(GARBAGE));
        let mut response = typed(StatusCode::OK, "application/octet-stream", "");
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        return Ok(Some(response));
    }
    if planted.html {
        const PAGE: &str = "<!DOCTYPE html><html><body><h1>Welcome to nginx!</h1></body></html>";
        return Ok(Some(typed(StatusCode::OK, "text/html", PAGE)));
    }
    match planted.status {
        None => Ok(None),
        Some(503) => Err(Failure::busy()),
        Some(code) => {
            let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let kind = status.canonical_reason().unwrap_or("Error");
            Err(Failure::new(status, kind, Value::Null, "planted fault"))
        }
    }
}

/// A request's own seed.
fn mix(seed: u64, ticket: u64) -> u64 {
    let mut mixed = seed.wrapping_add(ticket.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
