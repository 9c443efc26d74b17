//! `attestry stats`: summarises entries in groups.

mod report;

use attestry::stats::Statistics;

use self::report::Report;
use crate::args::{StatsArgs, StatsFormat, StoreArgs};
use crate::errors::{Failure, Status};
use crate::output::Stdout;
use crate::store::Settings;
use crate::suggestions;

pub(super) async fn run(
    args: StatsArgs,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    let query = args.selection.query()?.phase(args.phase.phase.into());
    let zone = args.selection.zone.tz;
    let logger = store.open_reader(Settings::default()).await?;
    let mut statistics = Statistics::new(args.by);
    let status = super::for_each(logger.query(query.clone()), |entry| {
        statistics.add_on_day_of(entry, |time| zone.day(time));
        Ok(())
    })
    .await?;
    let total = statistics.total();
    let nothing = total.entries == 0;
    let report = Report { statistics, total, percentiles: args.percentile, zone };
    match args.format {
        StatsFormat::Json => out.json(&report.as_json())?,
        StatsFormat::Csv => report.print_csv(args.csv_safe, out)?,
        StatsFormat::Table => report.print_table(out)?,
    }
    if nothing {
        suggestions::print(&logger, &query).await?;
    }
    logger.close().await?;
    Ok(status)
}
