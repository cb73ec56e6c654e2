//! The GPUs of a machine, in rows and in one line.

use plimsoll_records::{GpuLink, GpuRecord, Machine};

use super::{NOT_KNOWN, gibibytes};
use crate::clean::clean;
use crate::numbers::plain;

/// Pairs of GPUs that are named for one kind of link.
const PAIRS: usize = 8;

/// The rows of a machine's GPUs; a simulated server needs none.
pub(super) fn rows(machine: &Machine, simulated: bool) -> Vec<(&'static str, String)> {
    let gpus = &machine.gpus;
    let mut rows = Vec::new();
    if gpus.is_empty() {
        if simulated {
            return vec![("GPU", "none: the server is simulated".to_owned())];
        }
        let why = machine.gpu_remark.as_deref().map(clean).filter(|why| !why.is_empty());
        let why = why.map_or_else(String::new, |why| format!(" ({why})"));
        rows.push(("GPU", format!("{NOT_KNOWN}{why}")));
        rows.push(("VRAM", NOT_KNOWN.to_owned()));
        rows.push(("Number of GPUs", NOT_KNOWN.to_owned()));
    } else {
        rows.push(("GPU", kinds(gpus, name)));
        rows.push(("VRAM", each(gpus, |gpu| gpu.memory_bytes.map(gibibytes))));
        rows.push(("Number of GPUs", gpus.len().to_string()));
        if gpus.iter().any(|gpu| gpu.power_limit_mw.is_some()) {
            rows.push(("GPU power limit", each(gpus, |gpu| gpu.power_limit_mw.map(watts))));
        }
        if !machine.gpu_links.is_empty() {
            rows.push(("GPU links", links(&machine.gpu_links)));
        }
    }
    let version = |text: &Option<String>| {
        let text = text.as_deref().map(clean).filter(|text| !text.is_empty());
        text.unwrap_or_else(|| NOT_KNOWN.to_owned())
    };
    rows.push(("CUDA", version(&machine.cuda)));
    rows.push(("Driver", version(&machine.gpu_driver)));
    rows
}

/// `4 × NVIDIA H100 (80 GiB each), every pair by NV18; driver 570.86, CUDA 12.8`; `None` without a GPU.
pub(super) fn short(machine: &Machine) -> Option<String> {
    let gpus = &machine.gpus;
    if gpus.is_empty() {
        return None;
    }
    let mut text = kinds(gpus, |gpu| {
        let memory = gpu.memory_bytes.map(gibibytes);
        memory.map_or_else(|| name(gpu), |memory| format!("{} ({memory})", name(gpu)))
    });
    if distinct(machine.gpu_links.iter().map(|link| clean(&link.link))).len() == 1 {
        text.push_str(&format!(", {}", links(&machine.gpu_links)));
    }
    let versions: Vec<_> = [("driver", &machine.gpu_driver), ("CUDA", &machine.cuda)]
        .into_iter()
        .filter_map(|(word, version)| Some(format!("{word} {}", clean(version.as_deref()?))))
        .collect();
    if !versions.is_empty() {
        text.push_str(&format!("; {}", versions.join(", ")));
    }
    Some(text)
}

fn name(gpu: &GpuRecord) -> String {
    let name = clean(&gpu.name);
    if name.is_empty() { "GPU without a name".to_owned() } else { name }
}

fn watts(milliwatts: u32) -> String {
    format!("{} W", plain(f64::from(milliwatts) / 1e3))
}

/// Each different item with how often it occurs, in order of its first occurrence.
fn distinct(items: impl Iterator<Item = String>) -> Vec<(String, usize)> {
    let mut all: Vec<(String, usize)> = Vec::new();
    for item in items {
        match all.iter_mut().find(|(other, _)| *other == item) {
            Some((_, times)) => *times += 1,
            None => all.push((item, 1)),
        }
    }
    all
}

/// `4 × A`, `2 × A, 1 × B`, and `A` where there is one.
fn kinds(gpus: &[GpuRecord], of: impl Fn(&GpuRecord) -> String) -> String {
    let all = distinct(gpus.iter().map(of));
    match all.as_slice() {
        [(only, 1)] => only.clone(),
        _ => {
            let parts: Vec<_> = all.iter().map(|(kind, n)| format!("{n} × {kind}")).collect();
            parts.join(", ")
        }
    }
}

/// `80 GiB each`, or the value of every kind.
fn each(gpus: &[GpuRecord], of: impl Fn(&GpuRecord) -> Option<String>) -> String {
    let all = distinct(gpus.iter().map(|gpu| of(gpu).unwrap_or_else(|| NOT_KNOWN.to_owned())));
    match all.as_slice() {
        [(only, 1)] => only.clone(),
        [(only, _)] if only == NOT_KNOWN => only.clone(),
        [(only, _)] => format!("{only} each"),
        _ => {
            let parts: Vec<_> = all.iter().map(|(value, n)| format!("{n} × {value}")).collect();
            parts.join(", ")
        }
    }
}

/// `every pair by NV18`, or each kind with its pairs.
fn links(links: &[GpuLink]) -> String {
    let kinds = distinct(links.iter().map(|link| clean(&link.link)));
    if let [(only, _)] = kinds.as_slice() {
        let word = if links.len() == 1 { "the pair" } else { "every pair" };
        return format!("{word} by {only}");
    }
    let parts: Vec<_> = kinds
        .iter()
        .map(|(kind, times)| {
            if *times > PAIRS {
                return format!("{kind}: {times} pairs");
            }
            let of_kind = links.iter().filter(|link| clean(&link.link) == *kind);
            let pairs: Vec<_> = of_kind.map(|link| format!("{}–{}", link.a, link.b)).collect();
            format!("{kind}: {}", pairs.join(", "))
        })
        .collect();
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(gpus: &[(&str, u64)]) -> Machine {
        let gpus = gpus.iter().zip(0..).map(|((name, gib), gpu)| GpuRecord {
            gpu,
            name: (*name).to_owned(),
            memory_bytes: (*gib > 0).then_some(gib << 30),
            ..GpuRecord::default()
        });
        Machine { gpus: gpus.collect(), ..Machine::default() }
    }

    fn row<'a>(rows: &'a [(&'static str, String)], name: &str) -> Option<&'a str> {
        rows.iter().find(|(other, _)| *other == name).map(|(_, value)| value.as_str())
    }

    #[test]
    fn alike_gpus_are_counted_and_others_told_apart() {
        let alike = rows(&machine(&[("H100", 80), ("H100", 80)]), false);
        assert_eq!(row(&alike, "GPU"), Some("2 × H100"));
        assert_eq!(row(&alike, "VRAM"), Some("80 GiB each"));
        assert_eq!(row(&alike, "Number of GPUs"), Some("2"));
        let mixed = rows(&machine(&[("H100", 80), ("A100", 40), ("H100", 0)]), false);
        assert_eq!(row(&mixed, "GPU"), Some("2 × H100, 1 × A100"));
        assert_eq!(row(&mixed, "VRAM"), Some("1 × 80 GiB, 1 × 40 GiB, 1 × not known"));
        let one = rows(&machine(&[("", 24)]), false);
        assert_eq!(row(&one, "GPU"), Some("GPU without a name"));
        assert_eq!(row(&one, "VRAM"), Some("24 GiB"));
    }

    #[test]
    fn no_gpu_is_said_with_its_reason() {
        let mut machine = Machine::default();
        assert_eq!(row(&rows(&machine, false), "GPU"), Some("not known"));
        assert_eq!(row(&rows(&machine, false), "Driver"), Some("not known"));
        machine.gpu_remark = Some("there is no NVML".to_owned());
        assert_eq!(row(&rows(&machine, false), "GPU"), Some("not known (there is no NVML)"));
        assert_eq!(rows(&machine, true).len(), 1);
        assert_eq!(short(&machine), None);
    }

    #[test]
    fn links_of_one_kind_are_said_once() {
        let link = |a, b, link: &str| GpuLink { a, b, link: link.to_owned() };
        assert_eq!(links(&[link(0, 1, "NV4")]), "the pair by NV4");
        assert_eq!(links(&[link(0, 1, "NV4"), link(0, 2, "NV4")]), "every pair by NV4");
        let mixed = [link(0, 1, "NV4"), link(0, 2, "SYS"), link(2, 3, "NV4")];
        assert_eq!(links(&mixed), "NV4: 0–1, 2–3; SYS: 0–2");
        let many: Vec<_> = (1..11).map(|b| link(0, b, "PIX")).chain([link(1, 2, "SYS")]).collect();
        assert_eq!(links(&many), "PIX: 10 pairs; SYS: 1–2");
    }
}
