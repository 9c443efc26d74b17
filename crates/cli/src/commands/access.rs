//! `attestry access`: lists, verifies and cleans up the access log of `attestry serve`.

use std::path::{Path, PathBuf};

use attestry::evidence::{EvidenceExt, EvidenceOptions, Policy, SigningKey, VerifyOptions};
use attestry::{AuditEntry, AuditLogger, Interaction, Order, Phase, Query, Timestamp, metadata};
use attestry_serve::{access_log_folder, access_log_key_name};
use serde_json::{Value, json};

use crate::args::{
    AccessCleanupArgs, AccessCommand, AccessListArgs, AccessLogArgs, AccessVerifyArgs,
    ReportFormat, StoreArgs,
};
use crate::errors::{Failure, Status, with_sources};
use crate::output::Stdout;
use crate::policy;
use crate::store::user;
use crate::table::{Align, Table};
use crate::text::{counted, escaped, stderr_line};
use crate::times::Zone;

/// Metadata of an access.
const ADDRESS: &str = "client.address";
const COUNT: &str = "attestry.access.count";
const PROBLEMS: &str = "attestry.access.problems";

pub(super) async fn run(
    command: AccessCommand,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    match command {
        AccessCommand::List(args) => list(args, store, out).await,
        AccessCommand::Verify(args) => verify(args, store, out).await,
        AccessCommand::Cleanup(args) => cleanup(args, store, out).await,
    }
}

async fn list(
    args: AccessListArgs,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    let (now, zone) = (Timestamp::now(), &args.zone.tz);
    let mut query = Query::new()
        .since(args.since.map(|time| time.start(zone, now)))
        .until(args.until.map(|time| time.end(zone, now)))
        .model(args.action)
        .phase(Phase::Latest)
        .limit(args.limit)
        .order(if args.desc { Order::Descending } else { Order::Ascending });
    if let Some(client) = args.client {
        query = query.metadata_equals(metadata::USER, client);
    }
    query.validate()?;
    let logger = open(&args.log, store).await?;
    let mut table = Table::new([
        ("TIME".into(), Align::Left, 32),
        ("CLIENT".into(), Align::Left, 24),
        ("ADDRESS".into(), Align::Left, 24),
        ("ACTION".into(), Align::Left, 22),
        ("COUNT".into(), Align::Right, 12),
        ("REQUEST".into(), Align::Left, 80),
    ]);
    let read = super::for_each(logger.query(query), |entry| match args.format {
        ReportFormat::Json => out.line(format_args!("{}", report(entry, zone))),
        ReportFormat::Text => table.row(row(entry, zone), out),
    })
    .await;
    if matches!(args.format, ReportFormat::Text) {
        table.finish(out)?;
    }
    logger.close().await?;
    read
}

fn row(entry: &AuditEntry, zone: &Zone) -> Vec<String> {
    let of = |key: &str| match entry.metadata.get(key) {
        Some(Value::String(text)) => escaped(text),
        Some(other) => other.to_string(),
        None => "-".to_owned(),
    };
    let outcome = entry.metadata.get(metadata::OUTCOME).and_then(Value::as_str);
    let action = entry.model.as_deref().unwrap_or("-");
    vec![
        zone.show(entry.timestamp).to_string(),
        of(metadata::USER),
        of(ADDRESS),
        escaped(&outcome.map_or(action.to_owned(), |outcome| format!("{action} ({outcome})"))),
        of(COUNT),
        escaped(entry.input_content.as_deref().unwrap_or_default()),
    ]
}

fn report(entry: &AuditEntry, zone: &Zone) -> Value {
    let is_open = entry.metadata.get(metadata::PHASE).is_some_and(|p| p == metadata::PHASE_START);
    let known = entry.metadata.get(metadata::OUTCOME).cloned();
    let ended = if is_open { Value::Null } else { metadata::OUTCOME_COMPLETED.into() };
    json!({
        "id": entry.id,
        "time": zone.show(entry.timestamp),
        "client": entry.metadata.get(metadata::USER),
        "address": entry.metadata.get(ADDRESS),
        "action": entry.model,
        "request": entry.input_content,
        "count": entry.metadata.get(COUNT),
        "problems": entry.metadata.get(PROBLEMS),
        "outcome": known.unwrap_or(ended),
    })
}

async fn verify(
    args: AccessVerifyArgs,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    let key = policy::public_key(&args.public_key)?;
    let name = access_log_key_name(key.name());
    let key = key.renamed(&name).map_err(|error| {
        Failure::new(format!("{name:?} is not the name of a key")).caused_by(error)
    })?;
    let logger = open(&args.log, store).await?;
    let options = VerifyOptions::new().policy(Policy::new(key));
    let result = logger.evidence()?.verify(options).await?;
    if matches!(args.format, ReportFormat::Json) {
        out.json(&result)?;
    } else {
        for problem in &result.problems {
            out.line(format_args!("{}", escaped(&problem.to_string())))?;
        }
        let problems = result.problems.len() as u64 + result.problems_unlisted;
        out.line(format_args!(
            "{} the Merkle tree: {}",
            counted(result.lines, "access matches", "accesses match"),
            match problems {
                0 => "no problems".to_owned(),
                problems => counted(problems, "problem", "problems"),
            }
        ))?;
    }
    logger.close().await?;
    Ok(Status::success_if(result.is_clean()))
}

async fn cleanup(
    args: AccessCleanupArgs,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    let mut open = attestry::open(folder(&args.log, store)?)
        .read_only(args.dry_run)
        .store_content(true)
        .retention_days(args.retention_days)
        .allow_large_cleanup(args.yes);
    let key = if args.dry_run { None } else { store.signing_key()? };
    if let Some(key) = key {
        open = open.evidence(evidence(&key, store)?.on_checkpoint(|signed| {
            if let Err(error) = signed {
                let reason = with_sources(error);
                stderr_line(format_args!("warning: cannot sign a checkpoint: {reason}"));
            }
        }));
        if let Some(name) = user() {
            open = open.erased_by(name);
        }
    }
    let logger = open.await?;
    let cutoff = logger.expiry_cutoff();
    let (verb, count, status) = if args.dry_run {
        let (count, status) = super::count(&logger, Query::new().until(cutoff)).await?;
        ("would erase", count, status)
    } else {
        let count = logger.cleanup_expired().await?;
        let request = format!("access log: retention of {} days", args.retention_days);
        let access = Interaction::new(request, "").provider("attestry-cli").model("cleanup");
        let access = access.user(user()).metadata(COUNT, count);
        logger.log(access.metadata(metadata::SAFETY, metadata::SAFETY_NOT_CHECKED)).await?;
        ("erased", count, Status::Success)
    };
    let count = counted(count, "access", "accesses");
    out.line(format_args!("{verb} {count} at or before {}", Zone::default().show(cutoff)))?;
    logger.close().await?;
    Ok(status)
}

/// Evidence of the access log: with the key of the store under another name, because one name is one log.
pub(super) fn evidence(key: &SigningKey, store: &StoreArgs) -> Result<EvidenceOptions, Failure> {
    let name = access_log_key_name(key.name());
    let key = key.renamed(&name).map_err(|error| {
        Failure::new(format!("{name:?} cannot be the name of a key")).caused_by(error)
    })?;
    Ok(EvidenceOptions::new(key).memory(store.memory()?))
}

async fn open(args: &AccessLogArgs, store: &StoreArgs) -> Result<AuditLogger, Failure> {
    Ok(attestry::open(folder(args, store)?).read_only(true).await?)
}

fn folder(args: &AccessLogArgs, store: &StoreArgs) -> Result<PathBuf, Failure> {
    let folder = match &args.access_log {
        Some(folder) => folder.clone(),
        None => default_folder(store.existing_folder()?),
    };
    if !folder.is_dir() {
        return Err(Failure::new(format!("there is no access log at {}", folder.display()))
            .hint("`attestry serve` creates it; select another one with --access-log FOLDER"));
    }
    Ok(folder)
}

fn default_folder(store: &Path) -> PathBuf {
    access_log_folder(store)
}
