//! What is wrong with a configuration is said in one line each, all of it together.

use souk_tests::{Launch, repo, souk_only};
use std::path::Path;
use tempfile::TempDir;

/// A start that must fail, and its error lines.
fn errors(launch: Launch) -> Vec<String> {
    let exit = launch.fail();
    assert_eq!(exit.code, Some(1), "{}", exit.output);
    let lines: Vec<String> = exit.output.lines().map(str::to_owned).collect();
    assert!(
        lines.iter().all(|line| line.starts_with("error: ")),
        "{lines:#?}"
    );
    lines
}

/// A manifest of one component, `hello`, with more lines in its section.
struct App {
    dir: TempDir,
}

impl App {
    fn new(component: &str, rest: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let wasm = repo().join("target/wasm32-wasip1/release/examples/hello.wasm");
        let manifest = format!(
            "spin_manifest_version = 2\n[application]\nname = \"x\"\n\
             [[trigger.http]]\nroute = \"/...\"\ncomponent = \"hello\"\n\
             [component.hello]\nsource = {:?}\n{component}\n{rest}\n",
            wasm.display().to_string()
        );
        std::fs::write(dir.path().join("spin.toml"), manifest).unwrap();
        Self { dir }
    }

    fn file(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, bytes: &[u8]) -> &Self {
        std::fs::write(self.dir.path().join(name), bytes).unwrap();
        self
    }

    fn launch(&self) -> Launch {
        Launch::of(&self.file("spin.toml"))
    }

    /// The only error line of a start.
    fn error(&self) -> String {
        let lines = errors(self.launch());
        assert_eq!(lines.len(), 1, "{lines:#?}");
        lines.into_iter().next().unwrap()
    }
}

fn assert_says(line: &str, parts: &[&str]) {
    for part in parts {
        assert!(line.contains(part), "no {part:?} in: {line}");
    }
}

#[test]
fn a_missing_manifest() {
    souk_only!();
    let lines = errors(Launch::of("nowhere/spin.toml"));
    assert_says(
        &lines[0],
        &["cannot read the manifest", "nowhere/spin.toml"],
    );
}

#[test]
fn a_missing_wasm_file_says_how_to_build_it() {
    souk_only!();
    let app = App::new(
        "",
        "[[trigger.http]]\nroute = \"/b\"\ncomponent = \"b\"\n[component.b]\nsource = \"b.wasm\"",
    );
    assert_says(
        &app.error(),
        &[
            "component.b.source",
            "b.wasm is not there",
            "cargo xtask build",
        ],
    );
}

#[test]
fn an_unknown_field_names_its_line() {
    souk_only!();
    let app = App::new("sqlite_database = [\"a\"]", "");
    assert_says(
        &app.error(),
        &["spin.toml:9:", "unknown field `sqlite_database`"],
    );
}

#[test]
fn a_label_without_a_database() {
    souk_only!();
    let app = App::new("sqlite_databases = [\"shop\"]", "");
    assert_says(
        &app.error(),
        &["component.hello.sqlite_databases", "[sqlite_database.shop]"],
    );
}

#[test]
fn a_variable_without_a_value() {
    souk_only!();
    let app = App::new("", "[variables]\nkey = { required = true }");
    assert_says(
        &app.error(),
        &["variables.key", "--variable key=", "SPIN_VARIABLE_KEY"],
    );
}

#[test]
fn a_template_of_an_undefined_variable() {
    souk_only!();
    let app = App::new("variables = { a = \"{{ b }}\" }", "");
    assert_says(
        &app.error(),
        &["component.hello.variables.a", "{{ b }} is not defined"],
    );
}

#[test]
fn a_port_in_use() {
    souk_only!();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let app = App::new("", "");
    let lines = errors(app.launch().args(&format!("--listen {address}")));
    assert_says(&lines[0], &[&format!("--listen {address}"), "in use"]);
}

#[test]
fn an_import_the_host_lacks() {
    souk_only!();
    let greeted = repo().join("target/wasm32-wasip1/release/examples/greeted.wasm");
    let rest = format!(
        "[[trigger.http]]\nroute = \"/b\"\ncomponent = \"b\"\n[component.b]\nsource = {:?}",
        greeted.display().to_string()
    );
    assert_says(
        &App::new("", &rest).error(),
        &["component.b.source", "demo:greeting/greet"],
    );
}

#[test]
fn a_file_that_is_no_wasm() {
    souk_only!();
    let app = App::new(
        "",
        "[[trigger.http]]\nroute = \"/b\"\ncomponent = \"b\"\n[component.b]\nsource = \"b.wasm\"",
    );
    app.write("b.wasm", b"not wasm at all");
    assert_says(&app.error(), &["component.b.source", "is not WebAssembly"]);
}

#[test]
fn runtime_config_of_an_unsupported_type() {
    souk_only!();
    let app = App::new("", "");
    app.write(
        "rc.toml",
        b"[key_value_store.x]\ntype = \"azure_cosmos\"\nkey = \"k\"\n",
    );
    let lines = errors(app.launch().runtime_config(&app.file("rc.toml")));
    assert_says(
        &lines[0],
        &["runtime-config", "key_value_store.x", "azure_cosmos"],
    );
}

#[test]
fn a_server_whose_address_is_none() {
    souk_only!();
    let app = App::new("", "");
    app.write(
        "rc.toml",
        b"[key_value_store.x]\ntype = \"redis\"\nurl = \"http://:secret@a\"\n\
          [sqlite_database.y]\ntype = \"libsql\"\nurl = \"libsql://a\"\ntoken = \"secret\"\n",
    );
    let lines = errors(app.launch().runtime_config(&app.file("rc.toml")));
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert_says(&lines[0], &["sqlite_database.y", "https://host"]);
    assert_says(&lines[1], &["key_value_store.x", "redis://"]);
    assert!(lines.iter().all(|line| !line.contains("secret")));
}

#[test]
fn a_chaining_grant_to_a_component_that_is_not_selected() {
    souk_only!();
    let lines = errors(Launch::fixtures().args("-c caller"));
    assert_eq!(lines.len(), 4, "{lines:#?}");
    assert_says(
        &lines[0],
        &["component.caller.allowed_outbound_hosts", "-c hello"],
    );
}

#[test]
fn a_state_folder_that_cannot_be_made() {
    souk_only!();
    let app = App::new("key_value_stores = [\"default\"]", "");
    app.write("file", b"");
    let state = app.file("file/below");
    let lines = errors(app.launch().args(&format!("--state-dir {state}")));
    assert!(
        lines
            .iter()
            .any(|line| line.contains("cannot create the folder")),
        "{lines:#?}"
    );
}

#[test]
fn several_problems_come_together() {
    souk_only!();
    let app = App::new(
        "sqlite_databases = [\"shop\"]\nkey_value_stores = [\"cart\"]\nallowed_outbound_hosts = [\"example.com\"]\nfiles = [{ source = \"gone\", destination = \"/\" }]",
        "[[trigger.http]]\nroute = \"/b\"\ncomponent = \"b\"\n[component.b]\nsource = \"b.wasm\"\n[variables]\nkey = { required = true }",
    );
    app.write(
        "rc.toml",
        b"[sqlite_database.x]\ntype = \"libsql\"\nurl = \"u\"\ntoken = \"\"\n",
    );
    let lines = errors(app.launch().runtime_config(&app.file("rc.toml")));
    // The backend, the variable and the missing .wasm; what stands on the first two is not guessed at.
    assert_eq!(lines.len(), 3, "{lines:#?}");
    let granted = app.launch().args("--variable key=x");
    // The missing .wasm, the two labels, the host and the folder.
    assert_eq!(errors(granted).len(), 5);
}

#[test]
fn errors_are_json_lines_where_those_are_asked_for() {
    souk_only!();
    let exit = Launch::of("nowhere/spin.toml").args("--format json").fail();
    let line: serde_json::Value = serde_json::from_str(exit.output.trim()).unwrap();
    assert_eq!(line["level"], "ERROR");
}

#[test]
fn a_damaged_database_is_named() {
    souk_only!();
    let app = App::new("sqlite_databases = [\"shop\"]", "");
    app.write("shop.db", &[b'x'; 4096]);
    let config = format!(
        "[sqlite_database.shop]\ntype = \"spin\"\npath = {:?}\n",
        app.file("shop.db")
    );
    app.write("rc.toml", config.as_bytes());
    let lines = errors(app.launch().runtime_config(&app.file("rc.toml")));
    assert_says(&lines[0], &["sqlite_database.shop", "shop.db"]);
    assert!(Path::new(&app.file("shop.db")).exists());
}
