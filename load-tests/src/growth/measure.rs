//! What a request costs those who are asked by turns.

use std::time::Duration;

use crate::figures::{median, rate};
use crate::kernel::Processes;
use crate::offered::Crowd;
use crate::report::Report;

/// How everybody is asked.
pub(super) struct Measure {
    pub(super) rounds: usize,
    pub(super) each: Duration,
    /// As fast as answers come without.
    pub(super) per_second: Option<u32>,
    /// The short form shows only that the figures come about.
    pub(super) checked: bool,
}

/// One way to ask one gateway.
pub(super) struct Way {
    pub(super) name: String,
    gateway: Processes,
    crowd: Crowd,
    /// Microseconds a request, by round.
    cpu: Vec<f64>,
    /// Answers a second, by round.
    answered: Vec<f64>,
}

impl Way {
    pub(super) fn new(name: String, gateway: Processes, crowd: Crowd) -> Self {
        Self {
            name,
            gateway,
            crowd,
            cpu: Vec::new(),
            answered: Vec::new(),
        }
    }

    /// The share of a processor that it takes when nobody asks.
    pub(super) async fn idle(&self, long: Duration) -> f64 {
        let before = self.gateway.cpu();
        tokio::time::sleep(long).await;
        let spent = self.gateway.cpu().since(&before);
        spent.as_secs_f64() / long.as_secs_f64()
    }

    /// Asks for so long, and notes what it cost.
    #[expect(clippy::cast_precision_loss, reason = "for reading")]
    async fn once(&mut self, measure: &Measure, bad: &mut (usize, String)) {
        let before = self.gateway.cpu();
        let asked = self.crowd.ask(measure.per_second, measure.each);
        let told = asked.await;
        let spent = self.gateway.cpu().since(&before);
        let (more, first) = told.bad();
        bad.0 += more;
        if bad.1.is_empty() {
            bad.1 = first;
        }
        let whole = told.whole();
        self.cpu.push(spent.as_secs_f64() * 1e6 / whole as f64);
        self.answered.push(rate(whole, told.during));
    }

    fn told(&self) -> String {
        let (cpu, answered) = (median(&self.cpu), median(&self.answered));
        format!(
            "{}: {cpu:.1} us a request, {answered:.0} a second",
            self.name
        )
    }
}

/// All with the first.
pub(super) async fn compare(report: &mut Report, ways: &mut [Way], measure: &Measure, bound: f64) {
    let mut bad = (0, String::new());
    // The first round warms up.
    for round in 0..=measure.rounds {
        for way in &mut *ways {
            way.once(measure, &mut bad).await;
            if round == 0 {
                (way.cpu, way.answered) = Default::default();
            }
        }
    }
    let (first, others) = ways.split_first().unwrap();
    report.say(first.told());
    for way in others {
        let ratios = way.cpu.iter().zip(&first.cpu);
        let ratios: Vec<_> = ratios.map(|(own, first)| own / first).collect();
        let ratio = median(&ratios);
        let line = format!("{}, x{ratio:.2}", way.told());
        if measure.checked {
            report.check(format_args!("{line} (bound: x{bound:.2})"), ratio <= bound);
        } else {
            report.say(line);
        }
    }
    let (count, first) = bad;
    report.check(
        format_args!("answers that are none, or say no: {count}{first}"),
        count == 0,
    );
}
