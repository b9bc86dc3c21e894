//! `souk`: runs Spin applications (manifest version 2) in one small process.
//!
//! The way of a request: [`server`] accepts it and applies the limits, [`router`] finds the
//! component, [`dispatch`] finds or makes an instance, whose [`instance`] state is what the
//! [`capabilities`] let it do. The way of a start: [`cli`], [`manifest`] and [`runtime_config`]
//! say what is wanted, [`app`] checks all of it and puts it together, [`component`] turns .wasm
//! files into components that [`code_cache`] keeps compiled, and [`engine`] runs them. While it
//! serves, [`register`] keeps it listed, [`tick`] has due work done and [`telemetry`] tells what happens. Whatever is wrong
//! is gathered as [`problems`] and shown together, one line each.

mod app;
mod bindings;
mod body;
mod capabilities;
mod cli;
mod code_cache;
mod component;
mod dispatch;
mod engine;
mod http_client;
mod instance;
mod load;
mod manifest;
mod pool;
mod problem_response;
mod problems;
mod register;
mod router;
mod runtime_config;
mod server;
mod telemetry;
mod tick;

use app::App;
use clap::Parser;
use cli::{Cli, Command, Format, Up};
use problems::Problems;
use register::Registration;
use server::Server;
use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let Command::Up(up) = Cli::parse().command;
    start_logging(up.format);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => {
            let result = runtime.block_on(serve(&up));
            // What still runs had its time.
            runtime.shutdown_background();
            result
        }
        Err(error) => Err(Problems::one(format!("cannot start the runtime: {error}"))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(problems) => {
            match up.format {
                Format::Plain => eprintln!("{problems}"),
                Format::Json => problems.lines().for_each(|line| {
                    eprintln!("{}", serde_json::json!({"level": "ERROR", "message": line}));
                }),
            }
            ExitCode::FAILURE
        }
    }
}

fn start_logging(format: Format) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| "warn,souk=info".into());
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        Format::Plain => lines.with_target(false).compact().init(),
        Format::Json => lines.json().flatten_event(true).init(),
    }
}

async fn serve(up: &Up) -> Result<(), Problems> {
    let mut signals = Signals::new()?;
    let app = App::load(up)?;
    let (listener, address) = listen(up.listen).await?;
    app.outbound.set_own_address(address);
    let registration = registration(up, &app, address)?;
    if let (Some(registration), Some(telemetry)) = (&registration, &app.telemetry) {
        telemetry.exporter.identify(registration.identity());
    }
    announce(&app, address, up.format);
    let registered = registration.map(Registration::start);
    let ticker = up.tick.map(|seconds| {
        let dispatcher = app.dispatcher.clone();
        tokio::spawn(tick::run(dispatcher, Duration::from_secs(seconds)))
    });
    let server = Server::new(app.router, app.dispatcher.clone());
    let stop = async {
        signals.next().await;
        tracing::info!("stopping; a second signal ends at once");
        if let Some(ticker) = ticker {
            ticker.abort();
        }
        tokio::spawn(async move {
            signals.next().await;
            std::process::exit(130);
        });
        if let Some(registered) = registered {
            registered.leave().await;
        }
    };
    server.run(listener, stop).await;
    app.logs.flush();
    if let Some(telemetry) = app.telemetry {
        telemetry.finish().await;
    }
    Ok(())
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Problems> {
    let bound = async {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    bound.await.map_err(|error: std::io::Error| {
        Problems::one(match error.kind() {
            ErrorKind::AddrInUse => format!(
                "--listen {address}: the port is in use; stop the program that has it, or choose another port (0 takes a free one)"
            ),
            _ => format!("--listen {address}: {error}"),
        })
    })
}

/// What is to be registered with the registry, if there is one.
fn registration(
    up: &Up,
    app: &App,
    listening: SocketAddr,
) -> Result<Option<Registration>, Problems> {
    let Some(registry) = up.register.clone() else {
        return Ok(None);
    };
    let secret = app.service_key.as_deref().unwrap_or_default();
    let advertised = up.advertise.clone();
    Registration::new(registry, advertised, listening, &app.router, secret)
        .map(Some)
        .map_err(Problems::one)
}

/// The line that says requests are served from now on, on standard output.
fn announce(app: &App, address: SocketAddr, format: Format) {
    let url = format!("http://{address}");
    let mut out = std::io::stdout().lock();
    // Nobody may be reading; that is no reason not to serve.
    let _ = match format {
        Format::Json => writeln!(
            out,
            "{}",
            serde_json::json!({"level": "INFO", "message": "serving", "application": app.name, "url": url})
        ),
        Format::Plain => {
            let routes: String = app
                .router
                .targets()
                .map(|target| format!("\n  {}: {url}{}", target.component, target.route))
                .collect();
            writeln!(out, "Serving {} on {url}{routes}", app.name)
        }
    };
    let _ = out.flush();
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, Problems> {
        let listen =
            |kind| signal(kind).map_err(|e| Problems::one(format!("cannot watch signals: {e}")));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
