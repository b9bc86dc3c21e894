//! The mail API, the webhook and users as a test says they are.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::future::pending;

use serde_json::{Value, json};
use souk_chassis::Context;

use crate::clients::{Post, Reply};

/// What becomes of one post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It arrives, and is answered with this.
    Status(u16),
    Unreachable,
    /// It arrives, and no answer comes before the one who sent it ends.
    Lost,
}

/// Something that arrived.
#[derive(Debug, Clone)]
pub struct Arrived {
    pub headers: BTreeMap<String, String>,
    /// As it was sent.
    pub text: String,
    pub body: Value,
}

#[derive(Default)]
struct World {
    /// What becomes of the next posts whose URL contains this; the others are answered with 200.
    script: Vec<(&'static str, VecDeque<Turn>)>,
    arrived: Vec<(String, Arrived)>,
    /// Addresses by user.
    addresses: BTreeMap<String, String>,
    users_are_down: bool,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::default();
}

/// What becomes of the next posts whose URL contains this.
pub fn next(whose: &'static str, turns: impl IntoIterator<Item = Turn>) {
    WORLD.with_borrow_mut(|world| world.script.push((whose, turns.into_iter().collect())));
}

/// Nothing more is scripted.
pub fn heal() {
    WORLD.with_borrow_mut(|world| world.script.clear());
}

/// What has arrived at URLs that contain this since it was last asked.
pub fn arrived(whose: &str) -> Vec<Arrived> {
    WORLD.with_borrow_mut(|world| {
        let all = std::mem::take(&mut world.arrived);
        let (these, others) = all.into_iter().partition(|(url, _)| url.contains(whose));
        world.arrived = others;
        let these: Vec<(String, Arrived)> = these;
        these.into_iter().map(|(_, arrived)| arrived).collect()
    })
}

/// Opens an account with this address.
pub fn open_account(user: &str, email: &str) {
    WORLD.with_borrow_mut(|world| world.addresses.insert(user.into(), email.into()));
}

pub fn delete_account(user: &str) {
    WORLD.with_borrow_mut(|world| world.addresses.remove(user));
}

pub fn let_users_be_down(down: bool) {
    WORLD.with_borrow_mut(|world| world.users_are_down = down);
}

/// In the place of the network.
pub async fn exchange(post: Post) -> Result<u16, String> {
    let turn = WORLD.with_borrow_mut(|world| {
        let turn = world.turn(&post.url);
        if turn != Turn::Unreachable {
            world
                .arrived
                .push((post.url, read(post.headers, post.body)));
        }
        turn
    });
    match turn {
        Turn::Status(status) => Ok(status),
        Turn::Unreachable => Err("is not to be reached: refused".into()),
        Turn::Lost => pending().await,
    }
}

fn read(headers: Vec<(&'static str, String)>, text: String) -> Arrived {
    let headers = headers.into_iter();
    Arrived {
        headers: headers
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        body: serde_json::from_str(&text).unwrap(),
        text,
    }
}

impl World {
    fn turn(&mut self, url: &str) -> Turn {
        let script = self.script.iter_mut();
        let mut scripted = script.filter(|(whose, turns)| url.contains(whose) && !turns.is_empty());
        let turn = scripted.next().and_then(|(_, turns)| turns.pop_front());
        turn.unwrap_or(Turn::Status(200))
    }
}

/// In the place of the call to users.
pub async fn ask_users(_: &Context, path: &str) -> Result<Reply, String> {
    let user = path.strip_prefix("/internal/users/").unwrap();
    let user = user.strip_suffix("/contact").unwrap();
    WORLD.with_borrow(|world| {
        if world.users_are_down {
            return Err("is not to be reached".into());
        }
        Ok(match world.addresses.get(user) {
            Some(email) => Reply {
                status: 200,
                body: json!({"email": email, "name": "Ada"}),
            },
            None => Reply {
                status: 404,
                body: Value::Null,
            },
        })
    })
}
