//! HTTP in and out.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderValue};
use souk_chassis::context::now;
use souk_chassis::fields::{self, Fields, FromFields};
use souk_chassis::{Context, Json, Path, Problem};
use uuid::Uuid;

use crate::domain::view::{CartView, Facts, Warning};
use crate::domain::{Cart, Full, Line, MOST_LINES, MOST_OF_A_PRODUCT, Snapshot};
use crate::owner::{self, Caller};
use crate::store::{self, Owner, Step};
use crate::{clients, sweep, token};

/// What was asked of products and inventory, and what is missing of it.
type LookedUp = (Facts, Vec<Warning>);

/// How many of a product are to be in the cart.
pub struct NewQuantity {
    quantity: i64,
}

impl FromFields for NewQuantity {
    fn from_fields(fields: &mut Fields) -> Self {
        Self {
            quantity: fields.required("quantity", fields::whole_number(1..=MOST_OF_A_PRODUCT)),
        }
    }
}

/// `GET /api/cart`
///
/// A guest who has no cart sees an empty one, and nothing is stored for it.
pub async fn show(context: Context, headers: HeaderMap) -> Result<Response, Problem> {
    let now = now();
    let caller = owner::of(&context, &headers, now).await?;
    let cart = cart_of(&caller, now)?;
    Ok(shown(&context, &caller, &cart, None, None).await)
}

/// `DELETE /api/cart`
///
/// With `If-Match` only the cart that the caller has seen is cleared: what was added since is not lost.
pub async fn clear(context: Context, headers: HeaderMap) -> Result<Response, Problem> {
    let now = now();
    let caller = owner::of(&context, &headers, now).await?;
    let cleared = match &caller.owner {
        None => None,
        Some(owner) => {
            owner::change(owner, now, |mut cart| {
                let version = cart.version;
                match is_expected(&headers, version) && cart.clear(now) {
                    true => Step::Write(cart, version),
                    false => Step::Leave(version),
                }
            })
            .await?
        }
    };
    let version = cleared.unwrap_or_default();
    if !is_expected(&headers, version) {
        return Err(Problem::precondition_failed(format!(
            "the cart has version {version}"
        )));
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    private(&mut response, &caller);
    Ok(response)
}

/// `PUT /api/cart/items/{product_id}`
///
/// More than there are may be put into a cart: the line says so, and stock may come before the order does.
pub async fn put_item(
    context: Context,
    Path(product_id): Path<Uuid>,
    headers: HeaderMap,
    Json(NewQuantity { quantity }): Json<NewQuantity>,
) -> Result<Response, Problem> {
    let now = now();
    let caller = owner::of(&context, &headers, now).await?;
    let before = cart_of(&caller, now)?;
    if before.line(product_id).is_none() && before.lines.len() == MOST_LINES {
        return Err(full(Full));
    }
    let looked_up = clients::facts(&context, before.product_ids().chain([product_id])).await;
    let line = Line {
        product_id,
        quantity,
        added: snapshot(product_id, &looked_up.0, &before)?,
    };

    let put = |mut cart: Cart| match cart.put(line.clone(), now) {
        Ok(()) => Step::Write(cart.clone(), Ok(cart)),
        Err(full) => Step::Leave(Err(full)),
    };
    let changed = match &caller.owner {
        None => None,
        Some(owner) => owner::change(owner, now, put).await?,
    };
    let (caller, cart) = match changed {
        Some(cart) => (caller, cart.map_err(full)?),
        None => begin(line, now)?,
    };
    let token = token_of(&caller).await?;
    Ok(shown(&context, &caller, &cart, Some(looked_up), token).await)
}

/// `DELETE /api/cart/items/{product_id}`
pub async fn remove_item(
    context: Context,
    Path(product_id): Path<Uuid>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let now = now();
    let caller = owner::of(&context, &headers, now).await?;
    let changed = match &caller.owner {
        None => None,
        Some(owner) => {
            owner::change(owner, now, |mut cart| match cart.remove(product_id, now) {
                true => Step::Write(cart.clone(), cart),
                false => Step::Leave(cart),
            })
            .await?
        }
    };
    let token = match changed.is_some() {
        true => token_of(&caller).await?,
        false => None,
    };
    let cart = changed.unwrap_or_default();
    Ok(shown(&context, &caller, &cart, None, token).await)
}

/// `POST /internal/tick`
pub async fn tick() -> Result<StatusCode, Problem> {
    sweep::sweep().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whoever's cart it is; an empty one where there is none.
fn cart_of(caller: &Caller, now: u64) -> Result<Cart, store::Error> {
    let cart = match &caller.owner {
        Some(owner) => owner::find(owner, now)?,
        None => None,
    };
    Ok(cart.unwrap_or_default())
}

/// Makes a cart for a guest who has none, with this in it.
fn begin(line: Line, now: u64) -> Result<(Caller, Cart), Problem> {
    let guest = Uuid::now_v7();
    let mut cart = Cart::default();
    cart.put(line, now).map_err(full)?;
    store::create(guest, &cart)?;
    // Whoever adds carts sees to it that they do not become ever more.
    sweep::spawn();
    let caller = Caller {
        owner: Some(Owner::Guest(guest)),
        forgets_cookie: false,
        left_out: 0,
    };
    Ok((caller, cart))
}

/// What the cart remembers of a product: as it is now, or as the cart knows it already where nobody can say.
fn snapshot(product_id: Uuid, facts: &Facts, cart: &Cart) -> Result<Snapshot, Problem> {
    match &facts.products {
        Some(products) => products
            .get(&product_id)
            .cloned()
            .ok_or_else(|| Problem::not_found(format!("there is no product {product_id}"))),
        None => cart
            .line(product_id)
            .map(|line| line.added.clone())
            .ok_or_else(|| Problem::unavailable("the product cannot be looked up now", 2)),
    }
}

fn full(_: Full) -> Problem {
    let detail = format!("a cart has {MOST_LINES} different products at most");
    Problem::new(
        StatusCode::CONFLICT,
        "cart-full",
        "The cart is full",
        detail,
    )
}

/// The answer that shows a cart; with the token where a guest's cart was changed, which is when its life begins anew.
async fn shown(
    context: &Context,
    caller: &Caller,
    cart: &Cart,
    looked_up: Option<LookedUp>,
    token: Option<String>,
) -> Response {
    let (facts, mut warnings) = match looked_up {
        Some(looked_up) if looked_up.0.cover(cart) => looked_up,
        // Nothing was asked yet, or somebody added something meanwhile.
        _ => clients::facts(context, cart.product_ids()).await,
    };
    if caller.left_out > 0 {
        warnings.push(Warning {
            part: "merge",
            detail: format!(
                "{} products of the guest's cart did not fit in",
                caller.left_out
            ),
        });
    }
    let mut view = CartView::new(cart, &facts);
    view.warnings = warnings;
    view.cart_token = token.clone();
    let mut response = Json(view).into_response();
    let headers = response.headers_mut();
    headers.insert(header::ETAG, etag(cart.version));
    if let Some(token) = token {
        headers.insert(header::SET_COOKIE, token::set_cookie(&token));
        headers.insert(
            token::HEADER,
            HeaderValue::try_from(token).expect("a token is base64"),
        );
    }
    private(&mut response, caller);
    response
}

/// The token of a guest's cart.
async fn token_of(caller: &Caller) -> Result<Option<String>, Problem> {
    match caller.owner {
        Some(Owner::Guest(guest)) => token::sign(guest).await.map(Some),
        _ => Ok(None),
    }
}

/// Nobody keeps an answer about a cart, and a browser whose cookie is of no use any more forgets it.
fn private(response: &mut Response, caller: &Caller) {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if caller.forgets_cookie {
        headers.insert(header::SET_COOKIE, token::forget_cookie());
    }
}

/// A cart's version is its entity tag: it stands for what is in the cart, not for what that costs.
fn etag(version: u64) -> HeaderValue {
    HeaderValue::try_from(format!("\"{version}\"")).expect("digits in quotes")
}

/// Whether `if-match`, where there is one, names this version.
fn is_expected(headers: &HeaderMap, version: u64) -> bool {
    let mut values = headers.get_all(header::IF_MATCH).into_iter().peekable();
    if values.peek().is_none() {
        return true;
    }
    let this = etag(version);
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag.as_bytes() == this.as_bytes())
}
