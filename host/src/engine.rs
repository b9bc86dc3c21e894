//! The Wasmtime engine all components run in, and the linker with what the host offers them.

use crate::bindings::{key_value, redis, sqlite, variables, wasi_key_value};
use crate::instance::InstanceState;
use crate::telemetry::tasks;
use std::time::Duration;
use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// How often a running guest is asked to let others run. It also bounds how long after its
/// timeout a guest in an endless loop is stopped.
const EPOCH: Duration = Duration::from_millis(10);
/// Instances that may be alive at once, in the whole application.
const MAX_INSTANCES: u32 = 1000;
/// Bytes of a freed linear memory that are kept and zeroed rather than given back to the kernel:
/// what a service touches in a few requests, so that a fresh instance causes no page faults.
const MEMORY_KEEP_RESIDENT: usize = 512 << 10;

/// Makes the engine and starts the thread that counts its epochs.
///
/// # Errors
/// When the machine cannot give the address space the instance pool reserves.
pub fn new() -> wasmtime::Result<Engine> {
    let engine = Engine::new(&config())?;
    let weak = engine.weak();
    std::thread::Builder::new()
        .name("epochs".into())
        .spawn(move || {
            while let Some(engine) = weak.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(EPOCH);
            }
        })?;
    Ok(engine)
}

fn config() -> Config {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(MAX_INSTANCES)
        // A composed component has a memory, a stack and some core instances for each part.
        .total_core_instances(4 * MAX_INSTANCES)
        .total_memories(2 * MAX_INSTANCES)
        .total_tables(4 * MAX_INSTANCES)
        .total_stacks(2 * MAX_INSTANCES)
        .table_elements(100_000)
        .max_component_instance_size(10 << 20)
        .max_core_instance_size(10 << 20)
        .max_memory_size(4 << 30)
        .linear_memory_keep_resident(MEMORY_KEEP_RESIDENT)
        .table_keep_resident(64 << 10);
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .wasm_component_model_async(true)
        .epoch_interruption(true)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

/// The linker: WASI 0.2 and 0.3, HTTP, key-value stores, and Spin's interfaces. Where it is `traced` it is known for which request
/// another one is sent.
///
/// # Errors
/// Never in practice: when two definitions clash.
pub fn linker(engine: &Engine, traced: bool) -> wasmtime::Result<Linker<InstanceState>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    key_value::add_to_linker::<_, HasSelf<InstanceState>>(&mut linker, |state| state)?;
    wasi_key_value::store::add_to_linker::<_, HasSelf<InstanceState>>(&mut linker, |state| state)?;
    wasi_key_value::atomics::add_to_linker::<_, HasSelf<InstanceState>>(&mut linker, |state| {
        state
    })?;
    wasi_key_value::batch::add_to_linker::<_, HasSelf<InstanceState>>(&mut linker, |state| state)?;
    redis::add_to_linker::<_, HasSelf<InstanceState>>(&mut linker, |state| state)?;
    sqlite::add_to_linker::<_, HasSelf<InstanceState>>(&mut linker, |state| state)?;
    variables::add_to_linker::<_, HasSelf<InstanceState>>(&mut linker, |state| state)?;
    if traced {
        tasks::add_sender_to_linker(&mut linker)?;
    }
    Ok(linker)
}
