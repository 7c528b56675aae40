//! What only a Mac has: the live sensor on Endpoint Security.
//!
//! The only place of `unsafe`: each use says why it is sound.

#![allow(unsafe_code)]

mod bootstrap;
mod clock;
mod endpoint_security;
pub(crate) mod extension;
mod host;
mod kernel_control;
mod live;
mod message;
mod network;
mod ntstat;
mod panic;
mod process;
mod sysctl;
mod unified_log;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::config::{self, LastGood, Loaded, NetworkSource, Paths};
use crate::content::{self, Watch};
use crate::health::Health;
use crate::identity;
use crate::network::armed::Notes;
use crate::safe_mode::Panics;
use crate::sensor::{Sensor, Settings, Setup};
use crate::sink::Trust;
use crate::status;
use clock::Timebase;
use endpoint_security::EndpointSecurity;
use live::Live;
use network::Network;

pub(crate) use network::probe_network;

/// The oldest macOS that the program is linked for.
const OLDEST: (u64, u64, u64) = (13, 0, 0);

/// How often rules, exceptions and configuration are read again.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Returns whether this is the executable of the system extension: it is named as the extension's bundle id.
pub(crate) fn is_extension() -> bool {
    std::env::current_exe()
        .is_ok_and(|path| path.file_name().is_some_and(|name| name == identity::sensor_id().as_str()))
}

/// Runs the sensor until SIGTERM, SIGINT or SIGHUP.
///
/// # Errors
/// The system gives no thread or takes no signal handler.
pub(crate) fn run() -> io::Result<ExitCode> {
    // Without it the binding reads messages as those of macOS 10.15.
    let (major, minor, patch) = host::os_version().unwrap_or(OLDEST);
    endpoint_sec::version::set_runtime_version(major, minor, patch);
    unified_log::install()?;
    panic::install();
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        signal_hook::flag::register(signal, stop.clone())?;
    }
    let timebase = Timebase::new();
    let loaded = config::load(&Paths::standard());
    let (mut sensor, watch) = start(&loaded, timebase)?;
    let network = network(&loaded, timebase, &mut sensor);
    let source = EndpointSecurity::start()?;
    let live = Live::new(sensor, source, timebase, loaded.config.events.environment, network, watch);
    Ok(live.run(&stop))
}

/// Starts the pipeline with what the configuration says, and tells what is wrong with it.
fn start(loaded: &Loaded, timebase: Timebase) -> io::Result<(Sensor, Option<Watch>)> {
    let host = host::describe();
    let mut texts = content::read(loaded);
    let path = Panics::beside(&loaded.config.status.file);
    let panics = Panics::read(&path, env!("CARGO_PKG_VERSION"), texts.fingerprint());
    let careful = panics.why();
    panic::remember(panic::Record {
        panics,
        path,
        health: loaded.config.health.file.clone(),
        host: host.clone(),
    });
    let fingerprint = texts.fingerprint().to_owned();
    let watch = match careful {
        Some(_) => {
            texts.keep_built_in();
            None
        }
        None => {
            // A configuration that is broken for a while takes no rule away.
            let mut last_good = LastGood::default();
            last_good.settle(loaded.clone());
            let load = move || last_good.settle(config::load(&Paths::standard()));
            Some(Watch::start(load, fingerprint, LOOK_AGAIN)?)
        }
    };
    let content = texts.compile();
    let (settings, unusable) = Settings::new(&loaded.config, Trust::Own);
    let no_host_id = host.id.is_empty();
    let files = content::configuration_files(loaded);
    let wrong = content::configuration_errors(loaded);
    let mut sensor = Sensor::start(Setup {
        host,
        rules: content.rules,
        settings,
        configuration: status::Configuration {
            locked: loaded.locked,
            errors: wrong.len(),
            files: files.iter().map(|file| file.path.clone()).collect(),
        },
        now: timebase.now(),
    })?;
    sensor.configured(files, &wrong);
    sensor.report(&Health::loaded("rules", &content.files));
    if let Some(why) = careful {
        sensor.enter_safe_mode(&why);
    }
    sensor.degrade_by("settings", &unusable);
    sensor.degrade_by("rules", &content.problems);
    if no_host_id {
        let why = "the hardware's UUID cannot be read, so alerts of this Mac look like those of another without one; \
                   restart the sensor";
        sensor.degrade_by("host.id", &[why.to_owned()]);
    }
    match crate::accounts::Directory::start() {
        Ok(directory) => sensor.normaliser().set_accounts(Box::new(directory)),
        Err(error) => sensor.degrade_by("user names", &[format!("no thread looks them up: {error}")]),
    }
    Ok((sensor, watch))
}

/// Returns the network sources that may be tried; none where the configuration, safe mode or an unreadable note says so.
fn network(loaded: &Loaded, timebase: Timebase, sensor: &mut Sensor) -> Option<Network> {
    let wanted = loaded.config.network.source;
    if wanted == NetworkSource::Off {
        sensor.no_connections("the configuration's `network.source` is \"off\"", false);
        return None;
    }
    if sensor.is_in_safe_mode() {
        sensor.no_connections("in safe mode no undocumented source is used", true);
        return None;
    }
    match Notes::read(&Notes::beside(&loaded.config.status.file), Trust::Own) {
        Ok(notes) => Some(Network::new(wanted, host::system(), notes, timebase)),
        Err(why) => {
            sensor.no_connections(&why, true);
            None
        }
    }
}
