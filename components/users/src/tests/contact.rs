use super::*;

fn contact_of(id: &str) -> Answer {
    let path = format!("/internal/users/{id}/contact");
    ask().service("notifications").send("GET", &path)
}

#[test]
fn who_writes_to_people_learns_how() {
    let id = register();
    let answer = contact_of(&id);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, json!({"email": EMAIL}));
    assert_eq!(answer.headers["cache-control"], "no-store");
}

#[test]
fn nobody_else_does() {
    let path = format!("/internal/users/{}/contact", register());
    assert_eq!(ask().send("GET", &path).status, 401);
    for asking in [
        ask().service("orders"),
        ask().service("gateway"),
        ask().admin(),
    ] {
        assert_eq!(asking.send("GET", &path).status, 403);
    }
}

#[test]
fn of_who_is_gone_there_is_nothing_to_learn() {
    let id = register();
    assert_eq!(ask().user(&id).send("DELETE", "/api/users/me").status, 204);
    assert_eq!(contact_of(&id).status, 404);
    assert_eq!(contact_of(&uuid::Uuid::now_v7().to_string()).status, 404);
    assert_eq!(contact_of("x").status, 404);
}
