//! Exit codes.

/// How the process ends. Numbers as Podman's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    Success,
    /// `exists`: no. `rm`, `rmi`: no such object.
    No,
    /// `rm`, `rmi`: it is in use.
    InUse,
    /// creel itself failed.
    Failed,
    /// The command was found but could not be run.
    NotExecutable,
    /// The container has no such command.
    NotFound,
    /// The code of the process in the container.
    Container(u8),
}

impl ExitCode {
    pub fn number(self) -> u8 {
        match self {
            ExitCode::Success => 0,
            ExitCode::No => 1,
            ExitCode::InUse => 2,
            ExitCode::Failed => 125,
            ExitCode::NotExecutable => 126,
            ExitCode::NotFound => 127,
            ExitCode::Container(code) => code,
        }
    }

    /// From a number that a library or a container's record gave; what does not fit becomes 125.
    pub fn from_number(number: i32) -> ExitCode {
        match number {
            0 => ExitCode::Success,
            125 => ExitCode::Failed,
            126 => ExitCode::NotExecutable,
            127 => ExitCode::NotFound,
            number => u8::try_from(number).map_or(ExitCode::Failed, ExitCode::Container),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_podmans() {
        assert_eq!(ExitCode::from_number(125).number(), 125);
        assert_eq!(ExitCode::from_number(137), ExitCode::Container(137));
        assert_eq!(ExitCode::from_number(-1), ExitCode::Failed);
    }
}
