//! Usage that counts from the moment on that it is stored, beside the sum of what was stored before: it is in one of them.

use domain::Timestamp;
use ingest::{Decided, RowUsage};
use policy_engine::LateUsage;

use super::stored::Positions;
use super::sums::amounts;

/// What has been stored since this process began.
#[derive(Debug)]
pub(super) struct Late {
    /// What was used before is in the sum, if it was stored when that was made.
    before: Timestamp,
    /// Where the streams stood then, once it is made.
    summed: Option<Positions>,
    /// Not known to be in the sum or not.
    waiting: Vec<Decided>,
}

impl Late {
    pub(super) fn new(before: Timestamp) -> Self {
        Self {
            before,
            summed: None,
            waiting: Vec::new(),
        }
    }

    /// What of it counts now.
    pub(super) fn add(&mut self, mut decided: Decided) -> Vec<LateUsage> {
        let usage = std::mem::take(&mut decided.usage);
        let (earlier, own): (Vec<_>, Vec<_>) = usage
            .into_iter()
            .partition(|usage| usage.time < self.before);
        let mut counts: Vec<_> = own.into_iter().map(late_usage).collect();
        decided.usage = earlier;
        if let Some(summed) = &self.summed {
            counts.extend(beyond(summed, decided));
        } else if !decided.usage.is_empty() {
            self.waiting.push(decided);
        }
        counts
    }

    /// The sum is made, and goes up to these positions. Answers what has waited for that and isn't in it.
    pub(super) fn sum_is_made(&mut self, up_to: Positions) -> Vec<LateUsage> {
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        let counts = waiting
            .flat_map(|decided| beyond(&up_to, decided))
            .collect();
        self.summed = Some(up_to);
        counts
    }
}

/// All of it, if it was stored later than the sum was made.
fn beyond(summed: &Positions, decided: Decided) -> impl Iterator<Item = LateUsage> + use<> {
    let up_to = summed.get(&decided.stream).copied().unwrap_or(0);
    let usage = if decided.seq > up_to {
        decided.usage
    } else {
        Vec::new()
    };
    usage.into_iter().map(late_usage)
}

fn late_usage(usage: RowUsage) -> LateUsage {
    LateUsage {
        amounts: amounts(&usage),
        org_id: usage.org_id,
        project_id: usage.project_id,
        key_id: usage.api_key_id,
        user_id: usage.user_id,
        model: usage.model,
        at: usage.time,
    }
}

#[cfg(test)]
mod tests {
    use domain::{OrgId, Picodollars, ProjectId};
    use uuid::Uuid;

    use super::*;

    const BEFORE: Timestamp = Timestamp { unix_micros: 100 };
    const STREAM: Uuid = Uuid::from_u128(1);

    /// Told apart by their output.
    fn decided(seq: u64, usage: &[(i64, u64)]) -> Decided {
        let usage = usage.iter().map(|(unix_micros, output)| RowUsage {
            time: Timestamp {
                unix_micros: *unix_micros,
            },
            org_id: OrgId(Uuid::nil()),
            project_id: ProjectId(Uuid::nil()),
            user_id: None,
            api_key_id: None,
            model: String::new(),
            input_tokens: 0,
            output_tokens: *output,
            cost: Picodollars(0),
        });
        Decided {
            stream: STREAM,
            seq,
            usage: usage.collect(),
        }
    }

    fn outputs(late: &[LateUsage]) -> Vec<u64> {
        late.iter().map(|late| late.amounts.output_tokens).collect()
    }

    #[test]
    fn each_is_in_the_sum_or_counts_late() {
        let mut late = Late::new(BEFORE);
        let before_the_sum = [
            (decided(5, &[(99, 1), (100, 2)]), &[2][..]),
            (decided(7, &[(99, 3)]), &[]),
            (decided(9, &[(99, 4), (99, 5), (101, 6)]), &[6]),
        ];
        for (decided, counts) in before_the_sum {
            assert_eq!(outputs(&late.add(decided)), counts);
        }
        assert_eq!(outputs(&late.sum_is_made([(STREAM, 7)].into())), [4, 5]);

        assert_eq!(outputs(&late.add(decided(7, &[(99, 7), (100, 8)]))), [8]);
        assert_eq!(outputs(&late.add(decided(10, &[(99, 9)]))), [9]);
    }

    #[test]
    fn of_a_stream_that_had_no_position_nothing_is_in_the_sum() {
        let mut late = Late::new(BEFORE);
        assert!(late.add(decided(1, &[(1, 1)])).is_empty());
        assert_eq!(outputs(&late.sum_is_made(Positions::new())), [1]);
    }
}
