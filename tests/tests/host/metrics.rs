//! What a receiver of OpenTelemetry is told in metrics: of all requests, whatever is traced.

use nix::sys::signal::Signal;
use souk_tests::{Host, Launch, Otlp, Point, Registry, eventually, souk_only};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

const SERVED: &str = "http.server.request.duration";
const SENT: &str = "http.client.request.duration";
const ACTIVE: &str = "http.server.active_requests";

/// The fixtures, which tell `receiver` their metrics at once and trace nothing.
fn counted(receiver: &str) -> Launch {
    Launch::fixtures()
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver)
        .env("OTEL_METRIC_EXPORT_INTERVAL", "50")
        .env("OTEL_TRACES_SAMPLER", "always_off")
}

/// Ends the host, which tells the rest.
fn end(host: Host) {
    host.signal(Signal::SIGTERM);
    assert_eq!(host.wait(Duration::from_secs(20)).code, Some(0));
}

/// How many there are of a histogram in all.
fn count(otlp: &Otlp, name: &str, service: &str, attributes: &[(&str, &str)]) -> u64 {
    let points = otlp.points_of(name, service, attributes);
    points.iter().map(|point| point.count).sum()
}

fn only(points: Vec<Point>) -> Point {
    assert_eq!(points.len(), 1, "{points:#?}");
    points.into_iter().next().unwrap()
}

#[test]
fn every_request_is_counted_though_none_is_traced() {
    souk_only!();
    let otlp = Otlp::start();
    let host = counted(&otlp.url).args("--request-timeout 3s").start();
    for _ in 0..200 {
        host.get("/hello/x");
    }
    for _ in 0..30 {
        host.get("/call/?url=http://hello.spin.internal/");
    }
    host.get("/call/?url=http://self.alt/none");
    host.get("/misbehave/trap");
    host.get("/misbehave/sleep");
    let brew = reqwest::Method::from_bytes(b"BREW").unwrap();
    let brew = reqwest::blocking::Client::new().request(brew, format!("{}/hello/x", host.url));
    brew.send().unwrap();
    end(host);

    let status = |code| ("http.response.status_code", code);
    let served = |service, attributes: &[_]| count(&otlp, SERVED, service, attributes);
    let outside = [
        ("http.route", "/hello/..."),
        ("http.request.method", "GET"),
        status("200"),
    ];
    assert_eq!(served("hello", &outside), 200);
    assert_eq!(
        served("hello", &[("http.route", "/..."), status("200")]),
        30,
        "chained"
    );
    assert_eq!(served("hello", &[("http.request.method", "_OTHER")]), 1);
    assert_eq!(served("hello", &[]), 231);
    assert_eq!(served("caller", &[]), 31);
    assert_eq!(served("misbehave", &[status("500")]), 1);
    assert_eq!(served("misbehave", &[status("504")]), 1);
    let chained = [("server.address", "hello.spin.internal"), status("200")];
    assert_eq!(count(&otlp, SENT, "caller", &chained), 30);
    let itself = [("server.address", "self.alt"), status("404")];
    assert_eq!(count(&otlp, SENT, "caller", &itself), 1);

    let timed_out = only(otlp.points_of(SERVED, "misbehave", &[status("504")]));
    assert!((3.0..10.0).contains(&timed_out.value), "{timed_out:?}");
    assert_eq!((&*timed_out.unit, timed_out.kind), ("s", "histogram"));
    assert_eq!(timed_out.bounds.len(), 13);
    assert_eq!(timed_out.buckets.iter().sum::<u64>(), 1);
    let active = only(otlp.points_of(ACTIVE, "hello", &[]));
    assert_eq!((active.value, active.kind), (0.0, "sum"));
    assert!(otlp.spans().is_empty());
}

#[test]
fn a_request_is_active_until_it_is_answered() {
    souk_only!();
    let otlp = Otlp::start();
    let host = counted(&otlp.url).start();
    let active = || {
        let active = otlp.points_of(ACTIVE, "streams", &[]);
        active.first().map_or(0.0, |point| point.value)
    };
    let load = || {
        let browsing = [("for", "browsing")];
        only(otlp.points_of("souk.load.active", "souk", &browsing)).value
    };
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| host.get("/streams/slow?ms=5000"));
        }
        eventually("three are active", || active() == 3.0 && load() == 3.0);
    });
    eventually("none is", || active() == 0.0 && load() == 0.0);
    eventually("all are counted", || {
        count(&otlp, SERVED, "streams", &[]) == 3
    });
}

#[test]
fn whoever_leaves_is_counted_too() {
    souk_only!();
    let otlp = Otlp::start();
    let host = counted(&otlp.url).start();
    let impatient = host.request("/streams/slow?ms=60000");
    let left = impatient.timeout(Duration::from_secs(2)).send();
    assert!(left.is_err());
    eventually("it is counted", || {
        count(&otlp, SERVED, "streams", &[("error.type", "cancelled")]) == 1
    });
    assert_eq!(only(otlp.points_of(ACTIVE, "streams", &[])).value, 0.0);
}

#[test]
fn what_is_not_reached_is_counted_by_why() {
    souk_only!();
    let otlp = Otlp::start();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let port = nobody.unwrap().port().to_string();
    let host = counted(&otlp.url).variable("stub_port", &port).start();
    host.get(&format!("/call/?url=http://127.0.0.1:{port}/"));
    host.get("/call-denied/?url=http://example.org/");
    let sent = |service, address, why| {
        let attributes = [("server.address", address), ("error.type", why)];
        count(&otlp, SENT, service, &attributes)
    };
    eventually("both are counted", || {
        sent("caller", "127.0.0.1", "connection_refused") == 1
            && sent("caller-denied", "example.org", "denied") == 1
    });
}

/// How a request begins to be answered that says that its body is larger than any may be.
fn post_too_large(host: &Host) -> [u8; 12] {
    let head = b"POST /hello/x HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\n\r\n";
    let mut stream = TcpStream::connect(host.address()).unwrap();
    stream.write_all(head).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    answer
}

#[test]
fn what_the_host_refuses_and_what_it_needs_is_told_of_the_process() {
    souk_only!();
    let otlp = Otlp::start();
    let host = counted(&otlp.url).start();
    for _ in 0..5 {
        assert_eq!(host.get("/nowhere").status, 404);
    }
    assert_eq!(post_too_large(&host), *b"HTTP/1.1 413");
    host.get("/hello/x");
    end(host);

    let of_the_process = |name, attributes: &[_]| only(otlp.points_of(name, "souk", attributes));
    let refused = |reason| of_the_process("souk.requests.refused", &[("reason", reason)]);
    assert_eq!(refused("no-route").value, 5.0);
    assert_eq!(
        (refused("body-too-large").value, refused("no-route").kind),
        (1.0, "counter")
    );
    assert_eq!(count(&otlp, SERVED, "hello", &[]), 1);
    for of in ["browsing", "others"] {
        let limit = of_the_process("souk.load.limit", &[("for", of)]);
        assert!(limit.value > 0.0 && limit.kind == "gauge", "{limit:?}");
    }
    let memory = of_the_process("process.memory.usage", &[]);
    assert!(
        memory.value > 1e6 && memory.kind == "sum" && memory.unit == "By",
        "{memory:?}"
    );
    let cpu = of_the_process("process.cpu.time", &[]);
    assert!(
        cpu.value > 0.0 && cpu.kind == "counter" && cpu.unit == "s",
        "{cpu:?}"
    );
    let uptime = of_the_process("process.uptime", &[]);
    assert!(
        uptime.value > 0.0 && uptime.kind == "gauge" && uptime.unit == "s",
        "{uptime:?}"
    );
}

#[test]
fn instances_of_a_service_are_told_apart() {
    souk_only!();
    let otlp = Otlp::start();
    let hosts = [counted(&otlp.url).start(), counted(&otlp.url).start()];
    for host in &hosts {
        host.get("/hello/x");
    }
    eventually("both are counted", || {
        count(&otlp, SERVED, "hello", &[]) == 2
    });
    assert!(
        otlp.points_of(SERVED, "hello", &[])[0]
            .instance
            .starts_with("hello-")
    );
    assert_eq!(otlp.points_of("process.uptime", "souk", &[]).len(), 2);

    let named = Otlp::start();
    let _host = counted(&named.url)
        .env("OTEL_SERVICE_NAME", "shop")
        .env("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=pod-7")
        .start();
    eventually("it is named", || !named.points().is_empty());
    assert_eq!(
        only(named.points_of("process.uptime", "shop", &[])).instance,
        "pod-7"
    );
}

#[test]
fn a_registered_instance_has_the_name_it_is_registered_by() {
    souk_only!();
    let (otlp, registry) = (Otlp::start(), Registry::start());
    let host = Launch::of("components/products/spin.toml")
        .runtime_config("runtime-config.toml")
        .variable("service_key", "the key of this test")
        .args(&format!("--register {}", registry.url))
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &otlp.url)
        .env("OTEL_METRIC_EXPORT_INTERVAL", "50")
        .start();
    eventually("it is registered", || !registry.calls("PUT").is_empty());
    let path = registry.calls("PUT")[0].path.clone();
    host.get("/healthz");
    eventually("it is counted", || {
        count(&otlp, SERVED, "products", &[]) > 0
    });
    let instance = &otlp.points_of(SERVED, "products", &[])[0].instance;
    assert_eq!(path, format!("/instances/products/{instance}"));
}

#[test]
fn metrics_can_be_left_out_or_alone() {
    souk_only!();
    let otlp = Otlp::start();
    let host = counted(&otlp.url)
        .env("OTEL_METRICS_EXPORTER", "none")
        .start();
    host.get("/hello/x");
    end(host);
    assert_eq!(otlp.requests().0, 0, "nothing else is traced or logged");
    let alone = Otlp::start();
    let host = Launch::fixtures()
        .env(
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
            &format!("{}/v1/metrics", alone.url),
        )
        .start();
    host.get("/hello/x");
    end(host);
    assert_eq!(
        count(&alone, SERVED, "hello", &[]),
        1,
        "they are sent at the end"
    );
    assert!(alone.spans().is_empty() && alone.logs().is_empty());
}

#[test]
fn a_receiver_that_takes_no_metrics_holds_up_no_traces_and_is_told_of_once() {
    souk_only!();
    let otlp = Otlp::start();
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let host = counted(&otlp.url)
        .env("OTEL_TRACES_SAMPLER", "always_on")
        .env("OTEL_BSP_SCHEDULE_DELAY", "20")
        .env(
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
            &format!("http://{nobody}/v1/metrics"),
        )
        .start();
    for _ in 0..10 {
        host.get("/hello/x");
        std::thread::sleep(Duration::from_millis(60));
    }
    eventually("traces come", || {
        otlp.spans()
            .iter()
            .filter(|span| span.service == "hello")
            .count()
            >= 20
    });
    let output = host.says("cannot export telemetry");
    assert_eq!(
        output.matches("cannot export telemetry").count(),
        1,
        "{output}"
    );
    assert!(!output.contains("exports telemetry again"), "{output}");
}

#[test]
fn a_receiver_of_metrics_that_says_nothing_holds_up_no_traces() {
    souk_only!();
    let otlp = Otlp::start();
    // Whoever connects waits for an answer that does not come, ten seconds long.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let host = counted(&otlp.url)
        .env("OTEL_TRACES_SAMPLER", "always_on")
        .env("OTEL_BSP_SCHEDULE_DELAY", "20")
        .env(
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
            &format!("http://{address}/v1/metrics"),
        )
        .start();
    let (_connection, _) = silent.accept().unwrap();
    let begun = Instant::now();
    host.get("/hello/x");
    eventually("its trace comes", || {
        otlp.spans().iter().any(|span| span.service == "hello")
    });
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
}
