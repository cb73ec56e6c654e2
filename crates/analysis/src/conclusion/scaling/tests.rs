use plimsoll_records::{FindingCode, Severity};
use serde_json::json;

use super::*;
use crate::audit::fixture;
use crate::{Estimate, Law, Remark};

/// A manifest whose servers have these shapes: data, tensor, URLs.
fn manifest(shapes: &[[u32; 3]]) -> Manifest {
    let target = |&[data, tensor, urls]: &[u32; 3]| {
        json!({
            "launch": "process", "url": "http://a", "urls": vec!["http://a"; urls as usize],
            "model": "m", "server": null, "version": null, "max_model_len": null,
            "settings_declared": {"data-parallel-size": data, "tensor-parallel-size": tensor},
        })
    };
    let targets: Vec<_> = shapes.iter().map(target).collect();
    serde_json::from_value(json!({
        "format": "1.3", "tool": {"name": "scaling", "version": "0", "commit": null},
        "experiment": "scaling", "clock": {"origin_monotonic_ns": 0, "origin_unix_ns": 0},
        "started": "", "status": "complete", "seed": 5, "matrix_written": "", "overrides": [],
        "matrix_resolved": {}, "points": [], "left_out": [], "stamps": "user", "remarks": [],
        "machine": {"cpu": "", "cores": 1, "memory_bytes": 0, "os": "", "kernel": ""},
        "target": targets[0], "targets": targets,
    }))
    .unwrap()
}

/// A group on the `number`th server.
fn group(number: u32, factors: &[(&str, &str)], capacity: f64) -> Group {
    let around = Estimate { value: capacity, low: 0.995 * capacity, high: 1.005 * capacity };
    let mut group = fixture::group("", 2, around);
    let of = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    group.factors = factors.iter().map(of).collect();
    group.points.iter_mut().for_each(|point| point.server_start.number = number);
    group
}

fn sizes(family: &ScalingFamily) -> Vec<(f64, usize)> {
    family.sizes.iter().map(|size| (size.n, size.group)).collect()
}

#[test]
fn planted_parameters_come_back() {
    let (sigma, kappa) = (0.05, 0.012);
    let law = |n: u32| {
        let n = f64::from(n);
        20.0 * n / (1.0 + sigma * (n - 1.0) + kappa * n * (n - 1.0))
    };
    let all = [8, 1, 4, 2, 6_u32];
    let manifest = manifest(&all.map(|n| [n, 1, 1]));
    let groups: Vec<_> = (0..)
        .zip(all)
        .map(|(number, n)| {
            group(number, &[("server.settings.data-parallel-size", &n.to_string())], law(n))
        })
        .collect();
    let (found, findings) = conclude(&manifest, &groups);
    assert!(found.apart.is_empty() && findings.is_empty(), "{found:?} {findings:?}");
    let [family] = &found.families[..] else { panic!("{found:?}") };
    assert_eq!(sizes(family), [(1.0, 1), (2.0, 3), (4.0, 2), (6.0, 4), (8.0, 0)]);
    assert_eq!((family.label().as_str(), family.repetitions), ("", 3));
    assert_eq!((&family.grows[..], family.of_replicas), (&[Parallel::Data][..], true));
    let scaling = family.scaling.as_ref().unwrap();
    assert_eq!(scaling.chosen, Some(Law::Usl));
    let fit = scaling.fits.iter().find(|fit| fit.law == Law::Usl).unwrap();
    assert!(fit.sigma.unwrap().contains(sigma) && fit.kappa.unwrap().contains(kappa), "{fit:?}");
}

#[test]
fn a_second_factor_makes_families_and_a_bundle_may_decide_the_size() {
    // Servers 0 and 1 differ in a bundle that sets the size and whatever goes with it.
    let manifest = manifest(&[[1, 1, 1], [1, 4, 1]]);
    let of = |number, gpus, seqs, capacity| {
        group(number, &[("gpus", gpus), ("server.settings.max-num-seqs", seqs)], capacity)
    };
    let groups = [
        of(0, "one", "16", 10.0),
        of(1, "four", "16", 30.0),
        of(0, "one", "64", 20.0),
        of(1, "four", "64", 70.0),
    ];
    let (found, _) = conclude(&manifest, &groups);
    let labels: Vec<_> = found.families.iter().map(ScalingFamily::label).collect();
    assert_eq!(
        labels,
        ["server.settings.max-num-seqs=16", "server.settings.max-num-seqs=64"],
        "{found:?}"
    );
    assert_eq!(sizes(&found.families[1]), [(1.0, 2), (4.0, 3)]);
    assert!(!found.families[1].of_replicas);
    let gain = found.families[1].scaling.as_ref().unwrap().speedups[0];
    assert!((gain.speedup.value - 3.5).abs() < 1e-9, "{gain:?}");
}

#[test]
fn one_size_in_two_ways_makes_a_family_of_each_way() {
    let manifest = manifest(&[[1, 1, 1], [4, 1, 1], [1, 4, 1], [2, 2, 1]]);
    let of = |number, name| group(number, &[("gpus", name)], 10.0);
    let groups = [of(0, "1"), of(1, "4 by data"), of(2, "4 by tensor"), of(3, "2 x 2")];
    let (found, _) = conclude(&manifest, &groups);
    let said: Vec<_> =
        found.families.iter().map(|family| (family.grows.clone(), sizes(family))).collect();
    assert_eq!(
        said,
        [
            (vec![Parallel::Data], vec![(1.0, 0), (4.0, 1)]),
            (vec![Parallel::Tensor], vec![(1.0, 0), (4.0, 2)])
        ]
    );
    assert_eq!(found.apart, [(3, Apart::Alone)]);
}

#[test]
fn groups_of_one_shape_are_told_and_not_counted() {
    let manifest = manifest(&[[1, 1, 1], [2, 1, 1], [2, 1, 1]]);
    let of = |number, name| group(number, &[("gpus", name)], 10.0);
    let (found, _) = conclude(&manifest, &[of(0, "1"), of(1, "2"), of(2, "2 with flags")]);
    assert_eq!(found.apart, [(1, Apart::Twice), (2, Apart::Twice)]);
    assert_eq!(sizes(&found.families[0]), [(1.0, 0)]);
}

#[test]
fn urls_are_replicas_and_what_was_not_saturated_is_said() {
    let manifest = manifest(&[[1, 1, 1], [1, 1, 2]]);
    let mut groups = [
        group(0, &[("server.urls", "[\"http://a\"]")], 10.0),
        group(1, &[("server.urls", "[\"http://a\", \"http://b\"]")], 11.0),
    ];
    groups[1].saturation.lower_bound = true;
    let (found, findings) = conclude(&manifest, &groups);
    let family = &found.families[0];
    assert_eq!((&family.grows[..], family.of_replicas), (&[Parallel::Urls][..], true));
    assert_eq!(sizes(family), [(1.0, 0), (2.0, 1)]);
    let [limited] = &findings[..] else { panic!("{findings:?}") };
    assert_eq!((limited.code, limited.severity), (FindingCode::LoadLimited, Severity::Warning));
}

#[test]
fn a_size_without_a_capacity_stays_in_its_family() {
    let manifest = manifest(&[[1, 1, 1], [2, 1, 1], [4, 1, 1]]);
    let of = |number: u32, name| group(number, &[("gpus", name)], 10.0 * f64::from(number + 1));
    let mut groups = [of(0, "1"), of(1, "2"), of(2, "4")];
    groups[1].saturation.capacity_per_s = None;
    groups[2].saturation.capacity_per_s = Some(Estimate { value: 1.0, low: 0.0, high: 2.0 });
    let (found, findings) = conclude(&manifest, &groups);
    assert!(findings.is_empty(), "{findings:?}");
    let family = &found.families[0];
    let known: Vec<_> = family.sizes.iter().map(|size| size.point.is_some()).collect();
    assert_eq!(known, [true, false, false]);
    let scaling = family.scaling.as_ref().unwrap();
    assert!(scaling.remarks.iter().any(|it| matches!(it, Remark::NoCurve { points: 1, .. })));
    // None at all, and no group at all.
    groups[0].saturation.capacity_per_s = None;
    assert_eq!(conclude(&manifest, &groups).0.families[0].scaling, None);
    assert_eq!(conclude(&manifest, &[]).0, ScalingConclusion::default());
}

#[test]
fn findings_of_several_families_name_theirs() {
    let manifest = manifest(&[[1, 1, 1], [2, 1, 1]]);
    let of = |number, n, seqs, limited| {
        let mut group =
            group(number, &[("server.settings.data-parallel-size", n), ("seqs", seqs)], 10.0);
        group.saturation.lower_bound = limited;
        group
    };
    let groups = [
        of(0, "1", "a", false),
        of(1, "2", "a", true),
        of(0, "1", "b", false),
        of(1, "2", "b", false),
    ];
    let (_, findings) = conclude(&manifest, &groups);
    assert_eq!(findings.len(), 1);
    assert!(findings[0].message.starts_with("seqs=a: a scaling is computed"), "{findings:?}");
}
