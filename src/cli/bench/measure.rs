//! What a process costs, as the kernel counts it (`/proc`, Linux).

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

/// One tick of `/proc/PID/stat`: the kernel's interface says 100 a second on
/// every platform that has this file.
const TICK: Duration = Duration::from_millis(10);

/// How the thread that writes is called.
const WRITER: &str = "(store-writer)";

/// What a process has used so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usage {
    /// Processor time of all its threads, in the program and in the kernel.
    pub(super) cpu: Duration,
    /// Of that, the thread that writes to the store.
    pub(super) writer: Duration,
    /// The most memory that was resident, in MiB.
    pub(super) peak_mib: f64,
    /// The memory resident now, in MiB.
    pub(super) resident_mib: f64,
    /// How often its present threads went to sleep and were woken.
    pub(super) wakes: u64,
}

/// What process `pid` has used so far.
pub(super) fn usage(pid: u32) -> io::Result<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let mib = |name| f64::from(u32::try_from(field(&status, name)).unwrap_or(u32::MAX)) / 1024.0;
    let threads = threads(pid)?;
    let writer = threads.iter().filter(|thread| thread.stat.contains(WRITER));
    Ok(Usage {
        cpu: spent(&stat),
        writer: writer.map(|thread| spent(&thread.stat)).sum(),
        peak_mib: mib("VmHWM:"),
        resident_mib: mib("VmRSS:"),
        wakes: threads.iter().map(|thread| field(&thread.status, "voluntary_ctxt_switches:")).sum(),
    })
}

fn spent(stat: &str) -> Duration {
    TICK * u32::try_from(ticks(stat).unwrap_or(0)).unwrap_or(u32::MAX)
}

/// `utime` and `stime`, fields 14 and 15; the name before may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(") ")?.1.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

/// The number in a line of `/proc/PID/status`; 0 if it is not there.
fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// What the kernel says of a thread.
struct Thread {
    stat: String,
    status: String,
}

fn threads(pid: u32) -> io::Result<Vec<Thread>> {
    let mut threads = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let task = task?.path();
        // A thread may end in between.
        let read = |name| fs::read_to_string(task.join(name)).unwrap_or_default();
        threads.push(Thread { stat: read("stat"), status: read("status") });
    }
    Ok(threads)
}

/// The size of a file; 0 if there is none.
pub(super) fn bytes(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |metadata| metadata.len())
}

/// The kind of file system that holds `path`.
pub(super) fn file_system(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mount = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((Path::new(fields.next()?), fields.next()?)).filter(|(point, _)| path.starts_with(point))
    });
    let nearest = mount.max_by_key(|(point, _)| point.components().count());
    nearest.map_or_else(|| "unknown".to_owned(), |(_, kind)| kind.to_owned())
}

/// The processor's name, as it calls itself.
pub(super) fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or_else(|| "unknown".to_owned(), |(_, name)| name.trim().to_owned())
}

/// A count as a number to divide.
#[expect(clippy::cast_precision_loss, reason = "no count here comes near 2^52")]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_behind_any_name() {
        let stat = "17 (a) b (c) S 1 17 17 0 -1 4194560 100 0 0 0 250 31 0 0 20 0 4 0 99";
        assert_eq!(ticks(stat), Some(281));
    }

    #[test]
    fn this_process_has_used_something() {
        let usage = usage(std::process::id()).unwrap();
        assert!(usage.peak_mib >= usage.resident_mib && usage.resident_mib > 0.0);
    }
}
