//! How many arguments a command takes, refused in cobra's words.

use crate::error::Failure;

/// `requires at least N arg(s), only received M`, as cobra says it.
pub fn at_least(args: &[String], count: usize) -> Result<(), Failure> {
    if args.len() < count {
        return Err(Failure::plain(format!("requires at least {count} arg(s), only received {}", args.len())));
    }
    Ok(())
}

/// `accepts at most N arg(s), received M`.
pub fn at_most(args: &[String], count: usize) -> Result<(), Failure> {
    if args.len() > count {
        return Err(Failure::plain(format!("accepts at most {count} arg(s), received {}", args.len())));
    }
    Ok(())
}

/// `accepts N arg(s), received M`.
pub fn exactly(args: &[String], count: usize) -> Result<(), Failure> {
    if args.len() != count {
        return Err(Failure::plain(format!("accepts {count} arg(s), received {}", args.len())));
    }
    Ok(())
}

/// `accepts between N and M arg(s), received L`.
pub fn between(args: &[String], least: usize, most: usize) -> Result<(), Failure> {
    if args.len() < least || args.len() > most {
        return Err(Failure::plain(format!("accepts between {least} and {most} arg(s), received {}", args.len())));
    }
    Ok(())
}

/// For commands without arguments: `"creel X" takes no arguments`.
pub fn none(args: &[String], command: &str) -> Result<(), Failure> {
    if args.is_empty() { Ok(()) } else { Err(Failure::plain(format!("`creel {command}` takes no arguments"))) }
}
