//! Books that balance, whatever dies when: a shop under load whose host is killed, or one of whose services fails or is upgraded, and
//! the auditor that looks at what is left.
//!
//! What is random comes from one seed, which is printed: what each client does, and when the host is killed. `SOUK_CHAOS_SEED`
//! makes the same plan again; how the requests of the clients fall between each other and the kills is up to the machine.
#![allow(clippy::unwrap_used)]

mod auditor;
mod faults;
mod kills;
mod load;
mod plan;
mod redis;
mod site;
mod trickle;
mod upgrade;
