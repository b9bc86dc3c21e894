//! What the standard `OTEL_*` environment variables say.

use crate::problems::Problems;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use std::time::Duration;

/// How long a receiver may take to answer, where nothing else is said: the standard's default.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long what was recorded waits for more, where nothing else is said. The standard's five seconds are long for whoever looks at a
/// console.
const SCHEDULE_DELAY: Duration = Duration::from_secs(1);
/// Spans, and log records, that may wait to be sent, where nothing else is said. The standard's 2048 is what a busy shop records in
/// a tenth of a second.
const MAX_QUEUE_SIZE: usize = 16_384;
/// How many go out in one request, where nothing else is said.
const MAX_EXPORT_BATCH_SIZE: usize = 2_048;

/// How many traces a second begin where the application's own component receives them and nothing else is said: as many as cost little of
/// the processors that it shares with the others.
const OWN_PER_SECOND: u32 = 20;

/// How often metrics are sent where nothing else is said: the standard's default, and what costs as little where the application's own component
/// receives them, for whoever looks at a console.
const METRIC_INTERVAL: Duration = Duration::from_secs(60);
const OWN_METRIC_INTERVAL: Duration = Duration::from_secs(10);

/// The variables that name a receiver. An empty one says that there is none.
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const ENDPOINTS: [&str; 4] = [
    ENDPOINT,
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
];

/// What is to be exported, and where to.
#[derive(Debug)]
pub struct Settings {
    /// Where traces go, if they go anywhere.
    pub traces: Option<Receiver>,
    /// Where logs go, if they go anywhere.
    pub logs: Option<Receiver>,
    /// Where metrics go, if they go anywhere.
    pub metrics: Option<Receiver>,
    /// How often they do.
    pub metric_interval: Duration,
    /// Which traces are exported.
    pub sampler: Sampler,
    /// What the service of a component is called, where that is not its id.
    pub service_name: Option<String>,
    /// What else is said of every service.
    pub attributes: Vec<(String, String)>,
    /// How long what was recorded waits for more.
    pub schedule_delay: Duration,
    /// How much may wait.
    pub max_queue_size: usize,
    /// How much goes out in one request.
    pub max_export_batch_size: usize,
}

/// Who receives one kind of telemetry, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Receiver {
    /// Where it is.
    pub uri: Uri,
    /// What is sent along.
    pub headers: HeaderMap,
    /// How long it may take.
    pub timeout: Duration,
    /// In which form.
    pub protocol: Protocol,
}

/// A form of OTLP over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Protocol buffers.
    Protobuf,
    /// JSON.
    Json,
}

/// Which traces are exported from the beginning on. Those of a caller who has decided already are as that one says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampler {
    /// The share of the others.
    pub ratio: f64,
    /// How many of these a second, where there is such a bound.
    pub per_second: Option<u32>,
    /// Whether a caller's decision counts.
    pub parent_based: bool,
}

impl Sampler {
    /// Whether nothing is ever recorded.
    pub fn is_off(&self) -> bool {
        self.ratio == 0.0 && !self.parent_based
    }
}

impl Settings {
    /// Reads them; none where nothing is to be exported. Where no receiver is named, it is `own`, if there is one: where a component of the application
    /// itself receives telemetry.
    ///
    /// # Errors
    /// Values that mean nothing, one line each.
    pub fn read(
        env: impl Fn(&str) -> Option<String>,
        own: Option<&str>,
    ) -> Result<Option<Self>, Problems> {
        let named = ENDPOINTS.iter().any(|name| env(name).is_some());
        let with_own = |name: &str| match name {
            ENDPOINT if !named => own.map(str::to_owned),
            name => env(name),
        };
        let env = Environment(&with_own);
        let mut problems = Problems::default();
        let disabled = env.parse("OTEL_SDK_DISABLED", "true or false", boolean);
        let disabled = problems.collect(disabled).flatten();
        if disabled == Some(true) {
            return problems.into_result(None);
        }
        let traces = problems.collect(env.receiver("TRACES", "traces")).flatten();
        let logs = problems.collect(env.receiver("LOGS", "logs")).flatten();
        let metrics = problems
            .collect(env.receiver("METRICS", "metrics"))
            .flatten();
        if traces.is_none() && logs.is_none() && metrics.is_none() {
            return problems.into_result(None);
        }
        let per_second = (!named).then_some(OWN_PER_SECOND);
        let sampler = problems.collect(env.sampler(per_second));
        let attributes = env.parse("OTEL_RESOURCE_ATTRIBUTES", "name=value,name=value", pairs);
        let attributes = problems.collect(attributes).flatten().unwrap_or_default();
        let millis = "a number of milliseconds";
        let delay = problems.collect(env.parse("OTEL_BSP_SCHEDULE_DELAY", millis, milliseconds));
        let some = "a number of milliseconds from 1 on";
        let some = env.parse("OTEL_METRIC_EXPORT_INTERVAL", some, some_milliseconds);
        let interval = problems.collect(some).flatten();
        let mut size = |name, default| {
            let size = env.parse(name, "a number from 1 on", at_least_one);
            problems.collect(size).flatten().unwrap_or(default)
        };
        let max_queue_size = size("OTEL_BSP_MAX_QUEUE_SIZE", MAX_QUEUE_SIZE);
        let max_batch = size("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", MAX_EXPORT_BATCH_SIZE);
        let Some(sampler) = sampler else {
            return Err(problems);
        };
        let is_name = |(name, _): &&(String, String)| name == "service.name";
        let service_name = env
            .get("OTEL_SERVICE_NAME")
            .or_else(|| Some(attributes.iter().find(is_name)?.1.clone()));
        problems.into_result(Some(Self {
            traces,
            logs,
            metrics,
            metric_interval: interval.unwrap_or(match named {
                true => METRIC_INTERVAL,
                false => OWN_METRIC_INTERVAL,
            }),
            sampler,
            service_name,
            attributes: attributes
                .into_iter()
                .filter(|(name, _)| name != "service.name")
                .collect(),
            schedule_delay: delay.flatten().unwrap_or(SCHEDULE_DELAY),
            max_queue_size,
            max_export_batch_size: max_batch.min(max_queue_size),
        }))
    }
}

/// The environment. As the standard has it, an empty variable is none.
struct Environment<'a>(&'a dyn Fn(&str) -> Option<String>);

impl Environment<'_> {
    fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.is_empty())
    }

    fn parse<T>(
        &self,
        name: &str,
        wanted: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Problems> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        match parse(value.trim()) {
            Some(value) => Ok(Some(value)),
            // Not what it is: it may be a secret.
            None => Err(Problems::one(format!("{name}: must be {wanted}"))),
        }
    }

    /// The same for the variable of one kind of telemetry, or else the one of all.
    fn parse_for<T>(
        &self,
        signal: &str,
        suffix: &str,
        wanted: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Problems> {
        let own = format!("OTEL_EXPORTER_OTLP_{signal}_{suffix}");
        match self.get(&own) {
            Some(_) => self.parse(&own, wanted, parse),
            None => self.parse(&format!("OTEL_EXPORTER_OTLP_{suffix}"), wanted, parse),
        }
    }

    fn receiver(&self, signal: &str, path: &str) -> Result<Option<Receiver>, Problems> {
        let url = "http://HOST:PORT or https://HOST:PORT";
        let own = format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT");
        let uri = match self.parse(&own, url, address)? {
            Some(uri) => Some(uri),
            None => self.parse(ENDPOINT, url, |base| {
                address(&format!("{}/v1/{path}", base.trim_end_matches('/')))
            })?,
        };
        let Some(uri) = uri else {
            return Ok(None);
        };
        let mut problems = Problems::default();
        let exporter = format!("OTEL_{signal}_EXPORTER");
        let wanted = self.parse(&exporter, "otlp or none", |name| match name {
            "otlp" => Some(true),
            "none" => Some(false),
            _ => None,
        });
        let wanted = problems.collect(wanted).flatten();
        let protocol =
            self.parse_for(
                signal,
                "PROTOCOL",
                "http/protobuf or http/json",
                |name| match name {
                    "http/protobuf" => Some(Protocol::Protobuf),
                    "http/json" => Some(Protocol::Json),
                    _ => None,
                },
            );
        let protocol = problems.collect(protocol).flatten();
        let timeout = self.parse_for(signal, "TIMEOUT", "a number of milliseconds", milliseconds);
        let timeout = problems.collect(timeout).flatten();
        let headers = self.parse_for(signal, "HEADERS", "name=value,name=value", headers);
        let headers = problems.collect(headers).flatten();
        problems.into_result(wanted.unwrap_or(true).then(|| Receiver {
            uri,
            headers: headers.unwrap_or_default(),
            timeout: timeout.unwrap_or(TIMEOUT),
            protocol: protocol.unwrap_or(Protocol::Protobuf),
        }))
    }

    /// The one that is named; else all, `per_second` at most.
    fn sampler(&self, per_second: Option<u32>) -> Result<Sampler, Problems> {
        let names =
            "always_on, always_off, traceidratio, or one of these with parentbased_ before it";
        let named = self.parse("OTEL_TRACES_SAMPLER", names, |name| {
            let (parent_based, root) = match name.strip_prefix("parentbased_") {
                Some(root) => (true, root),
                None => (false, name),
            };
            Some((parent_based, Root::named(root)?))
        })?;
        let Some((parent_based, root)) = named else {
            return Ok(Sampler {
                ratio: 1.0,
                per_second,
                parent_based: true,
            });
        };
        let ratio = match root {
            Root::All => 1.0,
            Root::None => 0.0,
            Root::Ratio => self
                .parse("OTEL_TRACES_SAMPLER_ARG", "a number from 0 to 1", |ratio| {
                    let ratio = ratio.parse().ok()?;
                    (0.0..=1.0).contains(&ratio).then_some(ratio)
                })?
                .unwrap_or(1.0),
        };
        Ok(Sampler {
            ratio,
            per_second: None,
            parent_based,
        })
    }
}

/// How the traces are chosen that begin here.
enum Root {
    All,
    None,
    Ratio,
}

impl Root {
    fn named(name: &str) -> Option<Self> {
        match name {
            "always_on" => Some(Self::All),
            "always_off" => Some(Self::None),
            "traceidratio" => Some(Self::Ratio),
            _ => None,
        }
    }
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

fn milliseconds(text: &str) -> Option<Duration> {
    text.parse().ok().map(Duration::from_millis)
}

fn some_milliseconds(text: &str) -> Option<Duration> {
    milliseconds(text).filter(|time| !time.is_zero())
}

fn at_least_one(text: &str) -> Option<usize> {
    text.parse().ok().filter(|number| *number > 0)
}

fn address(text: &str) -> Option<Uri> {
    let uri: Uri = text.parse().ok()?;
    let known = matches!(uri.scheme_str(), Some("http" | "https"));
    (known && uri.host().is_some_and(|host| !host.is_empty())).then_some(uri)
}

fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let parts = text.split(',').map(str::trim).filter(|p| !p.is_empty());
    parts.map(pair).collect()
}

/// `name=value`, the value percent-encoded as in W3C Baggage.
fn pair(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let value = percent_encoding::percent_decode_str(value)
        .decode_utf8()
        .ok()?;
    (!name.is_empty()).then(|| (name.to_owned(), value.into_owned()))
}

fn headers(text: &str) -> Option<HeaderMap> {
    let pairs = pairs(text)?.into_iter();
    pairs
        .map(|(name, value)| {
            let mut value = HeaderValue::try_from(value).ok()?;
            // It may be a credential.
            value.set_sensitive(true);
            Some((HeaderName::try_from(name).ok()?, value))
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<Settings>, Problems> {
        read_with(variables, None)
    }

    fn read_with(
        variables: &[(&str, &str)],
        own: Option<&str>,
    ) -> Result<Option<Settings>, Problems> {
        let env = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Settings::read(env, own)
    }

    const COLLECTOR: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");

    #[test]
    fn without_a_receiver_there_is_nothing() {
        assert!(read(&[]).unwrap().is_none());
        assert!(
            read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")])
                .unwrap()
                .is_none()
        );
        assert!(
            read(&[COLLECTOR, ("OTEL_SDK_DISABLED", "true")])
                .unwrap()
                .is_none()
        );
        assert!(
            read(&[COLLECTOR, ("OTEL_SDK_DISABLED", "False")])
                .unwrap()
                .is_some()
        );
    }

    #[test]
    fn a_component_that_receives_telemetry_does_unless_somebody_else_is_named() {
        let read = |variables| read_with(variables, Some("http://telemetry.spin.internal"));
        let traces = |variables| Some(read(variables).unwrap()?.traces?.uri.to_string());
        let own = "http://telemetry.spin.internal/v1/traces";
        assert_eq!(traces(&[]).unwrap(), own);
        assert_eq!(traces(&[("OTEL_SERVICE_NAME", "shop")]).unwrap(), own);
        assert_eq!(
            traces(&[COLLECTOR]).unwrap(),
            "http://collector:4318/v1/traces"
        );
        assert_eq!(
            traces(&[("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://logs/in")]),
            None
        );
        assert_eq!(traces(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]), None);

        let per_second = |variables| read(variables).unwrap().unwrap().sampler.per_second;
        assert_eq!(per_second(&[]), Some(OWN_PER_SECOND));
        assert_eq!(per_second(&[("OTEL_TRACES_SAMPLER", "always_on")]), None);
        assert_eq!(per_second(&[COLLECTOR]), None);

        let interval = |variables| read(variables).unwrap().unwrap().metric_interval;
        assert_eq!(interval(&[]), OWN_METRIC_INTERVAL);
        assert_eq!(interval(&[COLLECTOR]), METRIC_INTERVAL);
        let said = ("OTEL_METRIC_EXPORT_INTERVAL", "250");
        assert_eq!(interval(&[said]), Duration::from_millis(250));
    }

    #[test]
    fn a_variable_of_one_kind_goes_before_that_of_all() {
        let settings = read(&[
            COLLECTOR,
            ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "https://logs/in"),
            (
                "OTEL_EXPORTER_OTLP_HEADERS",
                "authorization=Bearer%20x, a=b",
            ),
            ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "500"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ]);
        let settings = settings.unwrap().unwrap();
        let (traces, logs) = (settings.traces.unwrap(), settings.logs.unwrap());
        assert_eq!(traces.uri, "http://collector:4318/v1/traces");
        assert_eq!(logs.uri, "https://logs/in");
        assert_eq!(traces.headers["authorization"], "Bearer x");
        assert_eq!(
            (traces.timeout, logs.timeout),
            (TIMEOUT, Duration::from_millis(500))
        );
        assert_eq!(logs.protocol, Protocol::Json);
        let one = read(&[COLLECTOR, ("OTEL_LOGS_EXPORTER", "none")])
            .unwrap()
            .unwrap();
        assert!(one.traces.is_some() && one.logs.is_none() && one.metrics.is_some());
        let one = read(&[("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://metrics/in")]);
        let one = one.unwrap().unwrap();
        assert!(one.traces.is_none() && one.logs.is_none());
        assert_eq!(one.metrics.unwrap().uri, "http://metrics/in");
    }

    #[test]
    fn samplers_have_the_standards_names() {
        let sampler = |name, arg| {
            let named = [
                COLLECTOR,
                ("OTEL_TRACES_SAMPLER", name),
                ("OTEL_TRACES_SAMPLER_ARG", arg),
            ];
            let sampler = read(&named).unwrap().unwrap().sampler;
            assert_eq!(sampler.per_second, None);
            (sampler.ratio, sampler.parent_based)
        };
        assert_eq!(sampler("", ""), (1.0, true));
        assert_eq!(sampler("always_off", ""), (0.0, false));
        assert_eq!(sampler("parentbased_traceidratio", "0.01"), (0.01, true));
        assert_eq!(sampler("traceidratio", ""), (1.0, false));
    }

    #[test]
    fn a_service_is_named_by_its_variable_or_its_attribute() {
        let attributes = (
            "OTEL_RESOURCE_ATTRIBUTES",
            "service.name=shop,deployment.environment.name=a%2Cb",
        );
        let settings = read(&[COLLECTOR, attributes]).unwrap().unwrap();
        assert_eq!(settings.service_name.unwrap(), "shop");
        assert_eq!(
            settings.attributes,
            [("deployment.environment.name".into(), "a,b".into())]
        );
        let named = read(&[COLLECTOR, attributes, ("OTEL_SERVICE_NAME", "other")]);
        assert_eq!(named.unwrap().unwrap().service_name.unwrap(), "other");
    }

    #[test]
    fn what_means_nothing_is_named_with_what_does() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x"),
            ("OTEL_TRACES_SAMPLER", "sometimes"),
            ("OTEL_TRACES_EXPORTER", "jaeger"),
            ("OTEL_RESOURCE_ATTRIBUTES", "x"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
            ("OTEL_BSP_SCHEDULE_DELAY", "soon"),
            ("OTEL_METRICS_EXPORTER", "prometheus"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "0"),
            ("OTEL_SDK_DISABLED", "yes"),
        ] {
            let lines = read(&[(name, value), COLLECTOR]).unwrap_err().to_string();
            assert_eq!(lines.lines().count(), 1, "{lines}");
            assert!(lines.contains(name) && lines.contains("must be"), "{lines}");
        }
        let ratio = read(&[
            COLLECTOR,
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "2"),
        ]);
        assert!(
            ratio
                .unwrap_err()
                .to_string()
                .contains("OTEL_TRACES_SAMPLER_ARG")
        );
    }
}
