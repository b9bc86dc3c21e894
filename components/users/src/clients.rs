//! Calls to other services.

#[cfg(not(test))]
pub use real::erase_orders;

#[cfg(test)]
pub use crate::tests::orders::erase_orders;

#[cfg(not(test))]
mod real {
    use http::Method;
    use souk_chassis::Context;
    use souk_client::Call;

    /// Has orders erase what is personal in a user's orders; says whether it does.
    pub async fn erase_orders(context: &Context, user: &str) -> bool {
        let path = format!("/internal/erased-users/{user}");
        let answer = Call::new(context, Method::PUT, "orders", &path)
            .send()
            .await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }
}
