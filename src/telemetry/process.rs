//! What the operating system says of this process, under the names that Prometheus' own libraries give it.

use std::sync::atomic::{AtomicU64, Ordering};

use procfs::process::{LimitValue, Process};
use procfs::{ProcResult, WithCurrentSystemInfo as _};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

type Number = Gauge<f64, AtomicU64>;

/// Read anew for each scrape.
#[derive(Debug, Default)]
pub struct ProcessMetrics {
    cpu: Counter<f64, AtomicU64>,
    started: Number,
    resident: Number,
    mapped: Number,
    open_fds: Number,
    max_fds: Number,
    threads: Number,
}

impl ProcessMetrics {
    /// Its names have no prefix of ours.
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("process_cpu_seconds", "Processor time, user and system", metrics.cpu.clone());
        for (name, help, gauge) in [
            ("process_start_time_seconds", "When the process started, in seconds since 1970", &metrics.started),
            ("process_resident_memory_bytes", "Resident memory", &metrics.resident),
            ("process_virtual_memory_bytes", "Virtual memory", &metrics.mapped),
            ("process_open_fds", "Open file descriptors", &metrics.open_fds),
            ("process_max_fds", "Limit of open file descriptors", &metrics.max_fds),
            ("process_threads", "Threads", &metrics.threads),
        ] {
            registry.register(name, help, gauge.clone());
        }
        metrics
    }

    /// What cannot be read (no /proc) stays as it was.
    pub(super) fn refresh(&self) {
        let _ = self.read();
    }

    fn read(&self) -> ProcResult<()> {
        let process = Process::myself()?;
        let stat = process.stat()?;
        let ticks = procfs::ticks_per_second() as f64;
        let seconds = (stat.utime + stat.stime) as f64 / ticks;
        self.cpu.inner().store(seconds.to_bits(), Ordering::Relaxed);
        self.started.set(procfs::boot_time_secs()? as f64 + stat.starttime as f64 / ticks);
        self.resident.set(stat.rss_bytes().get() as f64);
        self.mapped.set(stat.vsize as f64);
        self.threads.set(stat.num_threads as f64);
        self.open_fds.set(process.fd_count()? as f64);
        self.max_fds.set(match process.limits()?.max_open_files.soft_limit {
            LimitValue::Value(limit) => limit as f64,
            LimitValue::Unlimited => f64::INFINITY,
        });
        Ok(())
    }
}
