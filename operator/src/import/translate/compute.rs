//! The endpoint VM and its pool.

use vic_crds::{Compute, CpuLimits, Endpoint, Memory, MemoryLimits, OutsideName, Shares};

use super::{Sheet, services};
use crate::import::values;

/// The debug level above which VIC does nothing more.
const MOST_DEBUG: i64 = 3;
/// vSphere counts the memory of a VM in steps of so many MB.
const MEMORY_STEP: i64 = 4;
/// The most that a pool's weight can be, and the most CPUs of a VM.
const MOST_SHARES: i64 = 1_000_000;
const MOST_CPUS: i32 = 64;

pub(super) fn endpoint(sheet: &mut Sheet<'_>) -> Option<Endpoint> {
    let cpus = sheet.small("endpoint-cpu", 1, MOST_CPUS);
    let memory = sheet
        .at_least("endpoint-memory", MEMORY_STEP)
        .and_then(|megabytes| {
            let rule = || format!("{megabytes} is no multiple of {MEMORY_STEP}, in which vSphere counts");
            let fits = (megabytes % MEMORY_STEP == 0).then_some(megabytes);
            sheet.problems.take("endpoint-memory", fits.ok_or_else(rule))
        });
    let debug = sheet.at_least("debug", 0).map(|level| {
        if level > MOST_DEBUG {
            sheet.note(
                "debug",
                format!("levels above {MOST_DEBUG} do what {MOST_DEBUG} does."),
            );
        }
        level.min(MOST_DEBUG)
    });
    let endpoint = Endpoint {
        cpus,
        memory: memory.and_then(quantity),
        debug_level: debug.and_then(|level| i32::try_from(level).ok()),
        syslog: services::syslog(sheet),
    };
    (endpoint != Endpoint::default()).then_some(endpoint)
}

pub(super) fn compute(sheet: &mut Sheet<'_>) -> Option<Compute> {
    let resource_pool = sheet.field::<OutsideName>("compute-resource");
    match &resource_pool {
        Some(pool) => sheet.grants.resource_pools.push(pool.clone()),
        None => sheet.note(
            "compute-resource",
            "it is not given, and vic-machine takes the only one there is: put its name into spec.compute.resourcePool, and into the grants of the Site.",
        ),
    }
    let (cpu_limit, cpu_reservation) = limits(sheet, "cpu", "cpu-reservation");
    let (cpu_shares, cpu_custom) = shares(sheet, "cpu-shares");
    let cpu = CpuLimits {
        limit_mhz: cpu_limit,
        reservation_mhz: cpu_reservation,
        shares: cpu_shares,
        custom_shares: cpu_custom,
    };
    let (memory_limit, memory_reservation) = limits(sheet, "memory", "memory-reservation");
    let (memory_shares, memory_custom) = shares(sheet, "memory-shares");
    let memory = MemoryLimits {
        limit: memory_limit.and_then(quantity),
        reservation: memory_reservation.and_then(quantity),
        shares: memory_shares,
        custom_shares: memory_custom,
    };
    let compute = Compute {
        resource_pool,
        cpu: (cpu != CpuLimits::default()).then_some(cpu),
        memory: (memory != MemoryLimits::default()).then_some(memory),
    };
    (compute != Compute::default()).then_some(compute)
}

fn quantity(megabytes: i64) -> Option<Memory> {
    let megabytes = u64::try_from(megabytes).ok()?;
    Some(Memory::from(values::binary_quantity(megabytes).as_str()))
}

/// A limit of 0 or -1 is none.
fn limits(sheet: &mut Sheet<'_>, limit: &str, reservation: &str) -> (Option<i64>, Option<i64>) {
    let most = sheet.at_least(limit, -1).filter(|most| *most > 0);
    let least = sheet.at_least(reservation, 0);
    if let (Some(most), Some(least)) = (most, least)
        && least > most
    {
        sheet
            .problems
            .note(reservation, format!("{least} is more than {most} of --{limit}"));
    }
    (most, least)
}

fn shares(sheet: &mut Sheet<'_>, option: &str) -> (Option<Shares>, Option<i32>) {
    let Some(text) = sheet.given.text(option) else {
        return (None, None);
    };
    let level = match text.to_lowercase().as_str() {
        "low" => Shares::Low,
        "normal" => Shares::Normal,
        "high" => Shares::High,
        number => {
            let custom = values::whole(number)
                .ok()
                .filter(|number| (1..=MOST_SHARES).contains(number))
                .and_then(|number| i32::try_from(number).ok());
            let rule = || format!("{text} is neither high, normal, low nor a number up to {MOST_SHARES}");
            let custom = sheet.problems.take(option, custom.ok_or_else(rule));
            return (custom.map(|_| Shares::Custom), custom);
        }
    };
    (Some(level), None)
}
