//! From the listening line to the last log line.

use nix::sys::signal::Signal::{SIGINT, SIGTERM};
use souk_tests::{Host, Launch, Reply, eventually, souk_only};
use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

#[test]
fn a_signal_lets_running_requests_finish() {
    souk_only!();
    for signal in [SIGTERM, SIGINT] {
        let host = Launch::fixtures().start();
        let request = host.request("/streams/slow?ms=4000");
        let running = std::thread::spawn(move || Reply::to(request));
        std::thread::sleep(Duration::from_secs(1));
        host.signal(signal);
        eventually("it accepts no more", || {
            TcpStream::connect(host.address()).is_err()
        });
        assert!(!running.is_finished());
        let exit = host.wait(Duration::from_secs(9));
        assert_eq!(exit.code, Some(0), "{}", exit.output);
        assert_eq!(running.join().unwrap().text, "slept");
    }
}

#[test]
fn a_signal_lets_work_after_the_response_finish() {
    souk_only!();
    let dir = tempfile::tempdir().unwrap();
    let host = Launch::fixtures().dir(dir.path()).start();
    assert_eq!(host.get("/streams/later?key=late").text, "will do");
    host.signal(SIGTERM);
    assert_eq!(host.wait(Duration::from_secs(9)).code, Some(0));
    let host = Launch::fixtures().dir(dir.path()).start();
    assert_eq!(host.get("/kv/get?store=default&key=late").text, "done");
}

#[test]
fn what_does_not_finish_is_cut_off_after_ten_seconds_and_idle_ends_at_once() {
    souk_only!();
    let idle = Launch::fixtures().start();
    assert_eq!(idle.get("/hello/x").status, 200);
    let begun = Instant::now();
    idle.signal(SIGTERM);
    assert_eq!(idle.wait(Duration::from_secs(5)).code, Some(0));
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "{:?}",
        begun.elapsed()
    );

    let busy = Launch::fixtures().start();
    let request = busy.request("/misbehave/sleep");
    std::thread::spawn(move || request.send());
    std::thread::sleep(Duration::from_millis(500));
    busy.signal(SIGTERM);
    let exit = busy.wait(Duration::from_secs(14));
    assert_eq!(exit.code, Some(0));
    assert!(exit.output.contains("still busy"), "{}", exit.output);
}

#[test]
fn streams_of_events_end_with_the_host_and_do_not_hold_it_up() {
    souk_only!();
    // One that notices soon that nobody reads any more, and one that would notice after a minute.
    for every in [50, 60_000] {
        let host = Launch::fixtures().start();
        let path = format!("/streams/events?n=1000000&every={every}");
        let mut events = host.request(&path).send().unwrap();
        events.read_exact(&mut [0; 9]).unwrap();
        let begun = Instant::now();
        host.signal(SIGTERM);
        // To its proper end: a browser comes back.
        events.read_to_string(&mut String::new()).unwrap();
        let exit = host.wait(Duration::from_secs(9));
        assert_eq!(exit.code, Some(0), "{}", exit.output);
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(9), "every {every} ms: {took:?}");
    }
}

#[test]
fn a_request_without_an_answer_yet_gets_its_time_beside_a_stream_that_is_cut() {
    souk_only!();
    let host = Launch::fixtures().start();
    let events = host.request("/streams/events?n=1000&every=60000");
    let mut events = events.send().unwrap();
    events.read_exact(&mut [0; 9]).unwrap();
    let slow = host.request("/streams/slow?ms=4500");
    let slow = std::thread::spawn(move || Reply::to(slow).text);
    std::thread::sleep(Duration::from_millis(300));
    host.signal(SIGTERM);
    assert_eq!(slow.join().unwrap(), "slept");
    assert_eq!(host.wait(Duration::from_secs(9)).code, Some(0));
}

#[test]
fn a_second_signal_ends_at_once() {
    souk_only!();
    let host = Launch::fixtures().start();
    let request = host.request("/misbehave/sleep");
    std::thread::spawn(move || request.send());
    std::thread::sleep(Duration::from_millis(500));
    let begun = Instant::now();
    host.signal(SIGTERM);
    std::thread::sleep(Duration::from_millis(300));
    host.signal(SIGTERM);
    assert_eq!(host.wait(Duration::from_secs(5)).code, Some(130));
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[test]
fn guests_write_to_logs_and_terminal_with_their_name() {
    souk_only!();
    let host = Launch::fixtures().start();
    host.get("/settings/say?text=something");
    is_logged(&host, "settings_stdout.txt", "said something\n");
    is_logged(&host, "settings_stderr.txt", "grumbled something\n");
    host.says("[settings] said something");
    host.says("[settings] grumbled something");
}

/// Waits until this is all there is in a log.
fn is_logged(host: &Host, log: &str, text: &str) {
    let file = host.dir.join("state/logs").join(log);
    let is_so = || std::fs::read_to_string(&file).is_ok_and(|it| it == text);
    eventually(text, is_so);
}

#[test]
fn quiet_keeps_guests_out_of_the_terminal() {
    souk_only!();
    let host = Launch::fixtures().args("--quiet").start();
    host.get("/settings/say?text=something");
    is_logged(&host, "settings_stdout.txt", "said something\n");
    host.signal(SIGTERM);
    let exit = host.wait(Duration::from_secs(9));
    assert!(!exit.output.contains("said something"), "{}", exit.output);
}

#[test]
fn json_lines_are_json_lines() {
    souk_only!();
    let host = Launch::fixtures().args("--format json").start();
    host.get("/misbehave/trap");
    host.get("/settings/say?text=something");
    host.signal(SIGTERM);
    let exit = host.wait(Duration::from_secs(9));
    let lines: Vec<serde_json::Value> = exit
        .output
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    assert!(lines.iter().any(|line| line["message"] == "serving"));
    let crash = lines
        .iter()
        .find(|line| line["message"] == "instance ended");
    assert_eq!(crash.unwrap()["component"], "misbehave");
    let said = lines
        .iter()
        .find(|line| line["message"] == "said something");
    assert_eq!(said.unwrap()["component"], "settings");
    assert_eq!(said.unwrap()["stream"], "stdout");
}

#[test]
fn ticks_come_to_components_that_know_them() {
    souk_only!();
    let host = Launch::fixtures().args("--tick 1").start();
    wait_for_tick(&host);
}

#[test]
fn a_component_that_hangs_at_its_tick_keeps_no_other_waiting() {
    souk_only!();
    let host = Launch::fixtures()
        .args("--tick 1 --env HANG_AT_TICK=yes")
        .start();
    for _ in 0..3 {
        wait_for_tick(&host);
        host.get("/kv/delete?store=default&key=tick");
    }
}

fn wait_for_tick(host: &Host) {
    eventually("a tick comes", || {
        host.get("/kv/get?store=default&key=tick").text == "came"
    });
}
