use crate::sample::Sample;

/// Reads one of a sample's numbers.
type Read = fn(&Sample) -> u64;

/// Compares the second quarter of the samples with the last: a load that goes on for longer must
/// not need more. By a tenth, and what chance makes of small numbers, it may.
pub(crate) fn growth(samples: &[Sample]) -> Option<String> {
    let quarter = samples.len() / 4;
    let (before, after) = (
        &samples[quarter..2 * quarter],
        &samples[samples.len() - quarter..],
    );
    let kinds: [(&str, u64, Read); 6] = [
        ("KiB of heap", 1024, |sample| sample.heap),
        ("KiB resident", 8 * 1024, |sample| sample.resident),
        ("tasks", 8, |sample| sample.tasks),
        ("threads", 4, |sample| sample.threads),
        ("descriptors", 8, |sample| sample.descriptors),
        ("keys", 500, |sample| sample.keys),
    ];
    kinds.into_iter().find_map(|(unit, slack, of)| {
        let (before, after) = (median(before, of), median(after, of));
        let most = before + before / 10 + slack;
        (after > most).then(|| format!("{unit} grew from {before} to {after}"))
    })
}

fn median(samples: &[Sample], of: Read) -> u64 {
    let mut values: Vec<_> = samples.iter().map(of).collect();
    values.sort_unstable();
    values[values.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEADY: Sample = Sample {
        heap: 20_000,
        resident: 40_000,
        tasks: 80,
        threads: 12,
        descriptors: 90,
        keys: 3000,
    };

    fn series(of: impl Fn(u64) -> Sample) -> Vec<Sample> {
        (0..40).map(of).collect()
    }

    #[test]
    fn what_wavers_is_flat() {
        let wavers = series(|number| Sample {
            tasks: STEADY.tasks + number % 7,
            keys: STEADY.keys + 100 * (number % 5),
            ..STEADY
        });
        assert_eq!(growth(&wavers), None);
    }

    #[test]
    fn a_leak_of_one_a_sample_is_found_whatever_leaks() {
        let leaks: [fn(u64) -> Sample; 6] = [
            |number| Sample {
                heap: STEADY.heap + 256 * number,
                ..STEADY
            },
            |number| Sample {
                resident: STEADY.resident + 1024 * number,
                ..STEADY
            },
            |number| Sample {
                tasks: STEADY.tasks + number,
                ..STEADY
            },
            |number| Sample {
                threads: STEADY.threads + number,
                ..STEADY
            },
            |number| Sample {
                descriptors: STEADY.descriptors + number,
                ..STEADY
            },
            |number| Sample {
                keys: STEADY.keys + 50 * number,
                ..STEADY
            },
        ];
        for leak in leaks {
            assert!(growth(&series(leak)).is_some());
        }
    }
}
