//! The gateway is killed while a budget is used up, with rows in the database and in the spool.

use std::time::Duration;

use testkit::Gateway;
use tokio::time::Instant;

use super::audit::Audit;
use super::clients::{Clients, Seat, Told, probe};
use super::house::{self, House};
use super::rows::Rows;
use super::{OF_ALL, STORING, Site, audit};
use crate::plan::Plan;
use crate::report::Report;

const BEGUN: &str = "budgets begin with what was spent before";

#[derive(Debug, Default)]
struct Tally {
    kills: usize,
    /// Kills that found rows both in the database and in the spool alone.
    with_both: usize,
    /// Starts that began with exactly what rows say.
    exact: usize,
    interrupted: usize,
    answers: usize,
    lost: usize,
    bad: usize,
}

pub(super) async fn run(site: &Site, plan: &Plan, report: &mut Report) {
    let (rounds, kills): (usize, u64) = (plan.pick(1, 10), plan.pick(1, 3));
    report.say(format_args!(
        "{rounds} times a budget of a dollar, and kill -9 {kills} times before it is used up, the database away for some of the time before"
    ));
    let (mut tally, mut of_all) = (Tally::default(), Audit::default());
    for _ in 0..rounds {
        house::not_at_midnight(&site.sql).await;
        let house = House::create(&site.sql, &[OF_ALL]).await;
        round(site, &house, kills, &mut tally, &mut of_all).await;
    }
    let Tally {
        kills,
        with_both,
        exact,
        interrupted,
        answers,
        lost,
        bad,
    } = tally;
    report.say(format_args!(
        "  {kills} kills, {with_both} of them with rows in the database and in the spool; {answers} answers, {interrupted} requests interrupted"
    ));
    report.check("kills met rows in both places", with_both > 0);
    report.check(
        format_args!("begun with what rows say, to the picodollar: {exact} of {kills}"),
        exact == kills,
    );
    report.check(format_args!("answers without a row: {lost}"), lost == 0);
    report.check(
        format_args!("clients that weren't refused in the end, or told something else: {bad}"),
        bad == 0,
    );
    of_all.check("per organization", report);
}

async fn round(site: &Site, house: &House, kills: u64, tally: &mut Tally, of_all: &mut Audit) {
    let mut told = Told::default();
    for life in 0..kills {
        let durability = ["fsync", "process"][usize::from(life % 2 == 1)];
        let gateway = site
            .gateway()
            .env("MINDWEAVE_SPOOL_DURABILITY", durability)
            .env("MINDWEAVE_INGEST_BATCH_INTERVAL", "5ms");
        let gateway = gateway.start().await;
        begun(site, house, &gateway, &told, life > 0, tally).await;
        told.add(until_killed(site, house, gateway, (life, kills)).await);
        let stored = Rows::read(&site.sql, house, &told).await.requests.len();
        tally.kills += 1;
        tally.with_both += usize::from(0 < stored && stored < told.passed.len());
        site.link.restore();
    }
    let gateway = site.gateway().start().await;
    begun(site, house, &gateway, &told, true, tally).await;
    let last = Clients::start(&house.seats(&gateway)).ended().await;
    tally.bad += last.unrefused + last.broken + last.strange.len();
    told.add(last);
    let rows = site.rows(house, &told).await;
    tally.answers += told.passed.len();
    tally.interrupted += rows.interrupted;
    tally.lost += told.passed.len().abs_diff(rows.of_answers());
    audit(
        site,
        house,
        &gateway,
        &rows,
        &told,
        std::slice::from_mut(of_all),
    )
    .await;
    tally.bad += usize::from(!gateway.stop().await.success());
}

/// Waits until budgets have begun; compares what they begin with, if the gateway was killed before.
async fn begun(
    site: &Site,
    house: &House,
    gateway: &Gateway,
    told: &Told,
    was_killed: bool,
    tally: &mut Tally,
) {
    testkit::eventually("budgets have begun", || async {
        gateway.log().contains(BEGUN).then_some(())
    })
    .await;
    let seats = house.seats(gateway);
    house.until_in_force(&site.sql, &seats).await;
    if was_killed {
        let says = house.told(&site.sql, &seats[0], &OF_ALL).await;
        let rows = rows_that_sum_up_to(site, house, told, says.spent).await;
        tally.exact += usize::from(rows.spent() == says.spent && says.held == 0);
    }
}

/// What waits in the spool is stored soon.
async fn rows_that_sum_up_to(site: &Site, house: &House, told: &Told, sum: u64) -> Rows {
    let until = Instant::now() + STORING;
    loop {
        let rows = site.rows(house, told).await;
        if rows.spent() == sum || Instant::now() > until {
            return rows;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// One life: asks until a part of the budget is used up, for the last of which the database is away.
async fn until_killed(
    site: &Site,
    house: &House,
    gateway: Gateway,
    (life, kills): (u64, u64),
) -> Told {
    let seats = house.seats(&gateway);
    let part = OF_ALL.limit / (kills + 1);
    let clients = Clients::start(&seats);
    until_spent(&seats[0], part * life + part / 2).await;
    site.link.cut();
    until_spent(&seats[0], part * (life + 1)).await;
    gateway.kill().await;
    clients.ended().await
}

async fn until_spent(seat: &Seat, amount: u64) {
    testkit::eventually("part of the budget is used up", || async {
        let spent = probe(seat).await?.spent;
        (spent >= amount).then_some(())
    })
    .await;
}
