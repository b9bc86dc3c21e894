//! What keeps a failure where it is: the rules by which calls between services are given up, repeated, refused and spread.
//!
//! Everything here is a pure state machine. The clock and randomness are arguments, and nothing waits or sends: that is the part
//! of `souk-client`, which asks these rules before and after every call.
//!
//! | module | answers | known from |
//! |---|---|---|
//! | [`policy`] | how patient is this service with that one? One table for each service | |
//! | [`deadline`] | how long does whoever waits for all this still wait? | gRPC deadlines and their propagation |
//! | [`backoff`] | when is it tried again? | Marc Brooker, *Exponential Backoff and Jitter* (AWS, 2015): full jitter |
//! | [`budget`] | may it be tried again at all? | gRPC proposal A6, retry throttling; *Site Reliability Engineering*, ch. 22 |
//! | [`breaker`] | may it be called at all? | Michael Nygard, *Release It!*; Resilience4j's sliding window and slow calls |
//! | [`balance`] | which instance is called? | Mitzenmacher, *The Power of Two Choices* (2001); Finagle's peak EWMA; Envoy's outlier detection |
//! | [`limit`] | may this request come in? | WeChat's DAGOR (2018); CoDel (2012) |
//! | [`record`] | what do all instances of a service know of another one together? | |
//!
//! The order in which a call meets them is that of Resilience4j: the bulkhead stands outermost, then the breaker, which counts a call
//! once however often it was tried, then the retries, each at an instance chosen for it, each with its timeout.
//!
//! Times are milliseconds since 1970 (`now`), lengths of time milliseconds.

pub mod backoff;
pub mod balance;
pub mod breaker;
pub mod budget;
pub mod deadline;
pub mod limit;
pub mod policy;
pub mod record;

pub use policy::{Policies, Policy};
pub use record::Record;
