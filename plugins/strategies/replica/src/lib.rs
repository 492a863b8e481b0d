//! Strategy A: promote the replica.
use understudy_sdk::strategy::exports::understudy::plugin::strategy::{
    Act, Context, Description, Error, Finding, Guest, Reversal, Step,
};
use understudy_sdk::strategy::understudy::{control::control, dns::dns};
struct Replica;
impl Guest for Replica {
    fn describe() -> Description {
        Description {
            name: "replica".into(),
            version: "0.1.0".into(),
            summary: "s".into(),
            config_schema: "{}".into(),
        }
    }
    fn validate_config(_: String) -> Result<(), Vec<String>> {
        Ok(())
    }
    fn plan(_: Context) -> Result<Vec<Step>, Error> {
        Ok(vec![Step {
            id: "flip".into(),
            title: "Flip".into(),
            role: "dns-lead".into(),
            budget_ms: 1000,
            needs: vec![],
            reversal: Reversal::Undo,
            acts: vec![Act {
                verb: "flip".into(),
                site: "bz".into(),
            }],
            covers: vec![],
            uses: vec!["dns".into()],
        }])
    }
    fn run_step(_: Context, _step: String) -> Result<String, Error> {
        let now = control::now()?;
        dns::ensure_record(
            "wp-active.test",
            "CNAME",
            None,
            &["wp-bz.test".to_string()],
            60,
        )?;
        Ok(format!("flipped at {now}"))
    }
    fn undo_step(_: Context, _: String) -> Result<String, Error> {
        Ok(String::new())
    }
    fn assess(_: Context) -> Result<Vec<Finding>, Error> {
        Ok(vec![])
    }
}
understudy_sdk::strategy::export_strategy!(Replica);
