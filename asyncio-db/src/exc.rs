//! The classes of errors, under asyncpg's names.
//!
//! Each is a type without values, for asking an error whether it is of that class or below it, as Python's
//! `except` does: `error.is::<exc::IntegrityConstraintViolationError>()` holds for a
//! [`UniqueViolationError`]. Which class an error is of its SQLSTATE decides.
//!
//! ```
//! use asyncio_db::exc::{self, PgException as _};
//!
//! assert_eq!(exc::UniqueViolationError::SQLSTATE, Some("23505"));
//! assert_eq!(exc::UniqueViolationError::NAME, "UniqueViolationError");
//! ```

use crate::exceptions::PgError;

/// A class of errors.
///
/// It is implemented by the types of this module, and by no others.
pub trait PgException: sealed::Sealed {
    /// asyncpg's name of the class.
    const NAME: &'static str;

    /// The SQLSTATE of the class itself, where it has one.
    const SQLSTATE: Option<&'static str>;

    /// Whether an error is of this class, or of one below it.
    #[must_use]
    fn matches(error: &PgError) -> bool;
}

mod sealed {
    #[expect(
        unnameable_types,
        reason = "so that nobody else implements what stands on it"
    )]
    pub trait Sealed {}
}

/// What is known of a SQLSTATE.
#[derive(Debug)]
struct Class {
    sqlstate: &'static str,
    name: &'static str,
    /// The SQLSTATE of the class above. None is above what stands directly below
    /// [`PostgresError`] or [`PostgresLogMessage`].
    above: Option<&'static str>,
}

/// The name of the class that a SQLSTATE stands for.
pub(crate) fn name(sqlstate: &str) -> &'static str {
    class(sqlstate).map_or(UnknownPostgresError::NAME, |class| class.name)
}

/// What is known of a SQLSTATE. Of one that is not known, what is known of all its kind: its first two
/// characters are a class of PostgreSQL's, which `000` after them stands for.
fn class(sqlstate: &str) -> Option<&'static Class> {
    let find = |code: &str| {
        let found = CLASSES.binary_search_by(|class| class.sqlstate.cmp(code));
        found.ok().map(|at| &CLASSES[at])
    };
    find(sqlstate).or_else(|| find(&format!("{}000", sqlstate.get(..2)?)))
}

/// Whether a SQLSTATE is that of a class, or of one below it.
fn below(sqlstate: &str, wanted: &str) -> bool {
    let mut at = class(sqlstate);
    while let Some(class_here) = at {
        if class_here.sqlstate == wanted {
            return true;
        }
        at = class_here.above.and_then(class);
    }
    false
}

/// What a server says that is no error: the classes of SQLSTATE `01` and `02`.
fn is_message(sqlstate: &str) -> bool {
    matches!(sqlstate.get(..2), Some("00" | "01" | "02"))
}

/// Any error that a server reports.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PostgresError;

impl sealed::Sealed for PostgresError {}

impl PgException for PostgresError {
    const NAME: &'static str = "PostgresError";
    const SQLSTATE: Option<&'static str> = None;

    fn matches(error: &PgError) -> bool {
        !is_message(error.sqlstate())
    }
}

/// Anything that a server says and that is no error, warnings above all.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PostgresLogMessage;

impl sealed::Sealed for PostgresLogMessage {}

impl PgException for PostgresLogMessage {
    const NAME: &'static str = "PostgresLogMessage";
    const SQLSTATE: Option<&'static str> = None;

    fn matches(error: &PgError) -> bool {
        is_message(error.sqlstate())
    }
}

/// An error whose SQLSTATE is not in this list, for instance one of a function's own.
///
/// # asyncio
///
/// In asyncpg such an error is of this class only. Here it is also of the class that its first two
/// characters stand for, as PostgreSQL's documentation asks of clients.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct UnknownPostgresError;

impl sealed::Sealed for UnknownPostgresError {}

impl PgException for UnknownPostgresError {
    const NAME: &'static str = "UnknownPostgresError";
    const SQLSTATE: Option<&'static str> = None;

    fn matches(error: &PgError) -> bool {
        let code = error.sqlstate();
        !is_message(code) && class(code).is_none_or(|class| class.sqlstate != code)
    }
}

/// The plan of a prepared statement fits no longer, because the schema or the settings have changed.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct InvalidCachedStatementError;

impl sealed::Sealed for InvalidCachedStatementError {}

impl PgException for InvalidCachedStatementError {
    const NAME: &'static str = "InvalidCachedStatementError";
    const SQLSTATE: Option<&'static str> = None;

    fn matches(error: &PgError) -> bool {
        // The server has no code of its own for it, and its message is translated.
        error.sqlstate() == "0A000"
            && error.server_source_function() == Some("RevalidateCachedQuery")
    }
}

/// Declares the classes: their SQLSTATE, their name, the one above, and PostgreSQL's name of the condition.
macro_rules! classes {
    (@above PostgresError) => { None };
    (@above PostgresLogMessage) => { None };
    (@above $above:ident) => { $above::SQLSTATE };
    ($($sqlstate:literal $name:ident: $above:ident, $condition:literal;)*) => {
        $(
            #[doc = concat!("SQLSTATE `", $sqlstate, "`, `", $condition, "`.")]
            #[doc = ""]
            #[doc = concat!("Directly below [`", stringify!($above), "`].")]
            #[derive(Clone, Copy, Debug)]
            #[non_exhaustive]
            pub struct $name;

            impl sealed::Sealed for $name {}

            impl PgException for $name {
                const NAME: &'static str = stringify!($name);
                const SQLSTATE: Option<&'static str> = Some($sqlstate);

                fn matches(error: &PgError) -> bool {
                    below(error.sqlstate(), $sqlstate)
                }
            }
        )*

        /// All of them, by SQLSTATE.
        static CLASSES: &[Class] = &[
            $(Class {
                sqlstate: $sqlstate,
                name: stringify!($name),
                above: classes!(@above $above),
            },)*
        ];
    };
}

// Sorted by SQLSTATE, for it is looked up.
classes! {
    "01000" PostgresWarning: PostgresLogMessage, "warning";
    "01003" NullValueEliminatedInSetFunction: PostgresWarning, "null_value_eliminated_in_set_function";
    "01004" StringDataRightTruncation: PostgresWarning, "string_data_right_truncation";
    "01006" PrivilegeNotRevoked: PostgresWarning, "privilege_not_revoked";
    "01007" PrivilegeNotGranted: PostgresWarning, "privilege_not_granted";
    "01008" ImplicitZeroBitPadding: PostgresWarning, "implicit_zero_bit_padding";
    "0100C" DynamicResultSetsReturned: PostgresWarning, "dynamic_result_sets_returned";
    "01P01" DeprecatedFeature: PostgresWarning, "deprecated_feature";
    "02000" NoData: PostgresWarning, "no_data";
    "02001" NoAdditionalDynamicResultSetsReturned: NoData, "no_additional_dynamic_result_sets_returned";
    "03000" SQLStatementNotYetCompleteError: PostgresError, "sql_statement_not_yet_complete";
    "08000" PostgresConnectionError: PostgresError, "connection_exception";
    "08001" ClientCannotConnectError: PostgresConnectionError, "sqlclient_unable_to_establish_sqlconnection";
    "08003" ConnectionDoesNotExistError: PostgresConnectionError, "connection_does_not_exist";
    "08004" ConnectionRejectionError: PostgresConnectionError, "sqlserver_rejected_establishment_of_sqlconnection";
    "08006" ConnectionFailureError: PostgresConnectionError, "connection_failure";
    "08007" TransactionResolutionUnknownError: PostgresConnectionError, "transaction_resolution_unknown";
    "08P01" ProtocolViolationError: PostgresConnectionError, "protocol_violation";
    "09000" TriggeredActionError: PostgresError, "triggered_action_exception";
    "0A000" FeatureNotSupportedError: PostgresError, "feature_not_supported";
    "0B000" InvalidTransactionInitiationError: PostgresError, "invalid_transaction_initiation";
    "0F000" LocatorError: PostgresError, "locator_exception";
    "0F001" InvalidLocatorSpecificationError: LocatorError, "invalid_locator_specification";
    "0L000" InvalidGrantorError: PostgresError, "invalid_grantor";
    "0LP01" InvalidGrantOperationError: InvalidGrantorError, "invalid_grant_operation";
    "0P000" InvalidRoleSpecificationError: PostgresError, "invalid_role_specification";
    "0Z000" DiagnosticsError: PostgresError, "diagnostics_exception";
    "0Z002" StackedDiagnosticsAccessedWithoutActiveHandlerError: DiagnosticsError, "stacked_diagnostics_accessed_without_active_handler";
    "10608" InvalidArgumentForXqueryError: PostgresError, "invalid_argument_for_xquery";
    "20000" CaseNotFoundError: PostgresError, "case_not_found";
    "21000" CardinalityViolationError: PostgresError, "cardinality_violation";
    "22000" DataError: PostgresError, "data_exception";
    "22001" StringDataRightTruncationError: DataError, "string_data_right_truncation";
    "22002" NullValueNoIndicatorParameterError: DataError, "null_value_no_indicator_parameter";
    "22003" NumericValueOutOfRangeError: DataError, "numeric_value_out_of_range";
    "22004" NullValueNotAllowedError: DataError, "null_value_not_allowed";
    "22005" ErrorInAssignmentError: DataError, "error_in_assignment";
    "22007" InvalidDatetimeFormatError: DataError, "invalid_datetime_format";
    "22008" DatetimeFieldOverflowError: DataError, "datetime_field_overflow";
    "22009" InvalidTimeZoneDisplacementValueError: DataError, "invalid_time_zone_displacement_value";
    "2200B" EscapeCharacterConflictError: DataError, "escape_character_conflict";
    "2200C" InvalidUseOfEscapeCharacterError: DataError, "invalid_use_of_escape_character";
    "2200D" InvalidEscapeOctetError: DataError, "invalid_escape_octet";
    "2200F" ZeroLengthCharacterStringError: DataError, "zero_length_character_string";
    "2200G" MostSpecificTypeMismatchError: DataError, "most_specific_type_mismatch";
    "2200H" SequenceGeneratorLimitExceededError: DataError, "sequence_generator_limit_exceeded";
    "2200L" NotAnXmlDocumentError: DataError, "not_an_xml_document";
    "2200M" InvalidXmlDocumentError: DataError, "invalid_xml_document";
    "2200N" InvalidXmlContentError: DataError, "invalid_xml_content";
    "2200S" InvalidXmlCommentError: DataError, "invalid_xml_comment";
    "2200T" InvalidXmlProcessingInstructionError: DataError, "invalid_xml_processing_instruction";
    "22010" InvalidIndicatorParameterValueError: DataError, "invalid_indicator_parameter_value";
    "22011" SubstringError: DataError, "substring_error";
    "22012" DivisionByZeroError: DataError, "division_by_zero";
    "22013" InvalidPrecedingOrFollowingSizeError: DataError, "invalid_preceding_or_following_size";
    "22014" InvalidArgumentForNtileFunctionError: DataError, "invalid_argument_for_ntile_function";
    "22015" IntervalFieldOverflowError: DataError, "interval_field_overflow";
    "22016" InvalidArgumentForNthValueFunctionError: DataError, "invalid_argument_for_nth_value_function";
    "22018" InvalidCharacterValueForCastError: DataError, "invalid_character_value_for_cast";
    "22019" InvalidEscapeCharacterError: DataError, "invalid_escape_character";
    "2201B" InvalidRegularExpressionError: DataError, "invalid_regular_expression";
    "2201E" InvalidArgumentForLogarithmError: DataError, "invalid_argument_for_logarithm";
    "2201F" InvalidArgumentForPowerFunctionError: DataError, "invalid_argument_for_power_function";
    "2201G" InvalidArgumentForWidthBucketFunctionError: DataError, "invalid_argument_for_width_bucket_function";
    "2201W" InvalidRowCountInLimitClauseError: DataError, "invalid_row_count_in_limit_clause";
    "2201X" InvalidRowCountInResultOffsetClauseError: DataError, "invalid_row_count_in_result_offset_clause";
    "22021" CharacterNotInRepertoireError: DataError, "character_not_in_repertoire";
    "22022" IndicatorOverflowError: DataError, "indicator_overflow";
    "22023" InvalidParameterValueError: DataError, "invalid_parameter_value";
    "22024" UnterminatedCStringError: DataError, "unterminated_c_string";
    "22025" InvalidEscapeSequenceError: DataError, "invalid_escape_sequence";
    "22026" StringDataLengthMismatchError: DataError, "string_data_length_mismatch";
    "22027" TrimError: DataError, "trim_error";
    "2202E" ArraySubscriptError: DataError, "array_element_error";
    "2202G" InvalidTablesampleRepeatError: DataError, "invalid_tablesample_repeat";
    "2202H" InvalidTablesampleArgumentError: DataError, "invalid_tablesample_argument";
    "22030" DuplicateJsonObjectKeyValueError: DataError, "duplicate_json_object_key_value";
    "22031" InvalidArgumentForSQLJsonDatetimeFunctionError: DataError, "invalid_argument_for_sql_json_datetime_function";
    "22032" InvalidJsonTextError: DataError, "invalid_json_text";
    "22033" InvalidSQLJsonSubscriptError: DataError, "invalid_sql_json_subscript";
    "22034" MoreThanOneSQLJsonItemError: DataError, "more_than_one_sql_json_item";
    "22035" NoSQLJsonItemError: DataError, "no_sql_json_item";
    "22036" NonNumericSQLJsonItemError: DataError, "non_numeric_sql_json_item";
    "22037" NonUniqueKeysInAJsonObjectError: DataError, "non_unique_keys_in_a_json_object";
    "22038" SingletonSQLJsonItemRequiredError: DataError, "singleton_sql_json_item_required";
    "22039" SQLJsonArrayNotFoundError: DataError, "sql_json_array_not_found";
    "2203A" SQLJsonMemberNotFoundError: DataError, "sql_json_member_not_found";
    "2203B" SQLJsonNumberNotFoundError: DataError, "sql_json_number_not_found";
    "2203C" SQLJsonObjectNotFoundError: DataError, "sql_json_object_not_found";
    "2203D" TooManyJsonArrayElementsError: DataError, "too_many_json_array_elements";
    "2203E" TooManyJsonObjectMembersError: DataError, "too_many_json_object_members";
    "2203F" SQLJsonScalarRequiredError: DataError, "sql_json_scalar_required";
    "2203G" SQLJsonItemCannotBeCastToTargetTypeError: DataError, "sql_json_item_cannot_be_cast_to_target_type";
    "22P01" PostgresFloatingPointError: DataError, "floating_point_exception";
    "22P02" InvalidTextRepresentationError: DataError, "invalid_text_representation";
    "22P03" InvalidBinaryRepresentationError: DataError, "invalid_binary_representation";
    "22P04" BadCopyFileFormatError: DataError, "bad_copy_file_format";
    "22P05" UntranslatableCharacterError: DataError, "untranslatable_character";
    "22P06" NonstandardUseOfEscapeCharacterError: DataError, "nonstandard_use_of_escape_character";
    "23000" IntegrityConstraintViolationError: PostgresError, "integrity_constraint_violation";
    "23001" RestrictViolationError: IntegrityConstraintViolationError, "restrict_violation";
    "23502" NotNullViolationError: IntegrityConstraintViolationError, "not_null_violation";
    "23503" ForeignKeyViolationError: IntegrityConstraintViolationError, "foreign_key_violation";
    "23505" UniqueViolationError: IntegrityConstraintViolationError, "unique_violation";
    "23514" CheckViolationError: IntegrityConstraintViolationError, "check_violation";
    "23P01" ExclusionViolationError: IntegrityConstraintViolationError, "exclusion_violation";
    "24000" InvalidCursorStateError: PostgresError, "invalid_cursor_state";
    "25000" InvalidTransactionStateError: PostgresError, "invalid_transaction_state";
    "25001" ActiveSQLTransactionError: InvalidTransactionStateError, "active_sql_transaction";
    "25002" BranchTransactionAlreadyActiveError: InvalidTransactionStateError, "branch_transaction_already_active";
    "25003" InappropriateAccessModeForBranchTransactionError: InvalidTransactionStateError, "inappropriate_access_mode_for_branch_transaction";
    "25004" InappropriateIsolationLevelForBranchTransactionError: InvalidTransactionStateError, "inappropriate_isolation_level_for_branch_transaction";
    "25005" NoActiveSQLTransactionForBranchTransactionError: InvalidTransactionStateError, "no_active_sql_transaction_for_branch_transaction";
    "25006" ReadOnlySQLTransactionError: InvalidTransactionStateError, "read_only_sql_transaction";
    "25007" SchemaAndDataStatementMixingNotSupportedError: InvalidTransactionStateError, "schema_and_data_statement_mixing_not_supported";
    "25008" HeldCursorRequiresSameIsolationLevelError: InvalidTransactionStateError, "held_cursor_requires_same_isolation_level";
    "25P01" NoActiveSQLTransactionError: InvalidTransactionStateError, "no_active_sql_transaction";
    "25P02" InFailedSQLTransactionError: InvalidTransactionStateError, "in_failed_sql_transaction";
    "25P03" IdleInTransactionSessionTimeoutError: InvalidTransactionStateError, "idle_in_transaction_session_timeout";
    "25P04" TransactionTimeoutError: InvalidTransactionStateError, "transaction_timeout";
    "26000" InvalidSQLStatementNameError: PostgresError, "invalid_sql_statement_name";
    "27000" TriggeredDataChangeViolationError: PostgresError, "triggered_data_change_violation";
    "28000" InvalidAuthorizationSpecificationError: PostgresError, "invalid_authorization_specification";
    "28P01" InvalidPasswordError: InvalidAuthorizationSpecificationError, "invalid_password";
    "2B000" DependentPrivilegeDescriptorsStillExistError: PostgresError, "dependent_privilege_descriptors_still_exist";
    "2BP01" DependentObjectsStillExistError: DependentPrivilegeDescriptorsStillExistError, "dependent_objects_still_exist";
    "2D000" InvalidTransactionTerminationError: PostgresError, "invalid_transaction_termination";
    "2F000" SQLRoutineError: PostgresError, "sql_routine_exception";
    "2F002" ModifyingSQLDataNotPermittedError: SQLRoutineError, "modifying_sql_data_not_permitted";
    "2F003" ProhibitedSQLStatementAttemptedError: SQLRoutineError, "prohibited_sql_statement_attempted";
    "2F004" ReadingSQLDataNotPermittedError: SQLRoutineError, "reading_sql_data_not_permitted";
    "2F005" FunctionExecutedNoReturnStatementError: SQLRoutineError, "function_executed_no_return_statement";
    "34000" InvalidCursorNameError: PostgresError, "invalid_cursor_name";
    "38000" ExternalRoutineError: PostgresError, "external_routine_exception";
    "38001" ContainingSQLNotPermittedError: ExternalRoutineError, "containing_sql_not_permitted";
    "38002" ModifyingExternalRoutineSQLDataNotPermittedError: ExternalRoutineError, "modifying_sql_data_not_permitted";
    "38003" ProhibitedExternalRoutineSQLStatementAttemptedError: ExternalRoutineError, "prohibited_sql_statement_attempted";
    "38004" ReadingExternalRoutineSQLDataNotPermittedError: ExternalRoutineError, "reading_sql_data_not_permitted";
    "39000" ExternalRoutineInvocationError: PostgresError, "external_routine_invocation_exception";
    "39001" InvalidSqlstateReturnedError: ExternalRoutineInvocationError, "invalid_sqlstate_returned";
    "39004" NullValueInExternalRoutineNotAllowedError: ExternalRoutineInvocationError, "null_value_not_allowed";
    "39P01" TriggerProtocolViolatedError: ExternalRoutineInvocationError, "trigger_protocol_violated";
    "39P02" SrfProtocolViolatedError: ExternalRoutineInvocationError, "srf_protocol_violated";
    "39P03" EventTriggerProtocolViolatedError: ExternalRoutineInvocationError, "event_trigger_protocol_violated";
    "3B000" SavepointError: PostgresError, "savepoint_exception";
    "3B001" InvalidSavepointSpecificationError: SavepointError, "invalid_savepoint_specification";
    "3D000" InvalidCatalogNameError: PostgresError, "invalid_catalog_name";
    "3F000" InvalidSchemaNameError: PostgresError, "invalid_schema_name";
    "40000" TransactionRollbackError: PostgresError, "transaction_rollback";
    "40001" SerializationError: TransactionRollbackError, "serialization_failure";
    "40002" TransactionIntegrityConstraintViolationError: TransactionRollbackError, "transaction_integrity_constraint_violation";
    "40003" StatementCompletionUnknownError: TransactionRollbackError, "statement_completion_unknown";
    "40P01" DeadlockDetectedError: TransactionRollbackError, "deadlock_detected";
    "42000" SyntaxOrAccessError: PostgresError, "syntax_error_or_access_rule_violation";
    "42501" InsufficientPrivilegeError: SyntaxOrAccessError, "insufficient_privilege";
    "42601" PostgresSyntaxError: SyntaxOrAccessError, "syntax_error";
    "42602" InvalidNameError: SyntaxOrAccessError, "invalid_name";
    "42611" InvalidColumnDefinitionError: SyntaxOrAccessError, "invalid_column_definition";
    "42622" NameTooLongError: SyntaxOrAccessError, "name_too_long";
    "42701" DuplicateColumnError: SyntaxOrAccessError, "duplicate_column";
    "42702" AmbiguousColumnError: SyntaxOrAccessError, "ambiguous_column";
    "42703" UndefinedColumnError: SyntaxOrAccessError, "undefined_column";
    "42704" UndefinedObjectError: SyntaxOrAccessError, "undefined_object";
    "42710" DuplicateObjectError: SyntaxOrAccessError, "duplicate_object";
    "42712" DuplicateAliasError: SyntaxOrAccessError, "duplicate_alias";
    "42723" DuplicateFunctionError: SyntaxOrAccessError, "duplicate_function";
    "42725" AmbiguousFunctionError: SyntaxOrAccessError, "ambiguous_function";
    "42803" GroupingError: SyntaxOrAccessError, "grouping_error";
    "42804" DatatypeMismatchError: SyntaxOrAccessError, "datatype_mismatch";
    "42809" WrongObjectTypeError: SyntaxOrAccessError, "wrong_object_type";
    "42830" InvalidForeignKeyError: SyntaxOrAccessError, "invalid_foreign_key";
    "42846" CannotCoerceError: SyntaxOrAccessError, "cannot_coerce";
    "42883" UndefinedFunctionError: SyntaxOrAccessError, "undefined_function";
    "428C9" GeneratedAlwaysError: SyntaxOrAccessError, "generated_always";
    "42939" ReservedNameError: SyntaxOrAccessError, "reserved_name";
    "42P01" UndefinedTableError: SyntaxOrAccessError, "undefined_table";
    "42P02" UndefinedParameterError: SyntaxOrAccessError, "undefined_parameter";
    "42P03" DuplicateCursorError: SyntaxOrAccessError, "duplicate_cursor";
    "42P04" DuplicateDatabaseError: SyntaxOrAccessError, "duplicate_database";
    "42P05" DuplicatePreparedStatementError: SyntaxOrAccessError, "duplicate_prepared_statement";
    "42P06" DuplicateSchemaError: SyntaxOrAccessError, "duplicate_schema";
    "42P07" DuplicateTableError: SyntaxOrAccessError, "duplicate_table";
    "42P08" AmbiguousParameterError: SyntaxOrAccessError, "ambiguous_parameter";
    "42P09" AmbiguousAliasError: SyntaxOrAccessError, "ambiguous_alias";
    "42P10" InvalidColumnReferenceError: SyntaxOrAccessError, "invalid_column_reference";
    "42P11" InvalidCursorDefinitionError: SyntaxOrAccessError, "invalid_cursor_definition";
    "42P12" InvalidDatabaseDefinitionError: SyntaxOrAccessError, "invalid_database_definition";
    "42P13" InvalidFunctionDefinitionError: SyntaxOrAccessError, "invalid_function_definition";
    "42P14" InvalidPreparedStatementDefinitionError: SyntaxOrAccessError, "invalid_prepared_statement_definition";
    "42P15" InvalidSchemaDefinitionError: SyntaxOrAccessError, "invalid_schema_definition";
    "42P16" InvalidTableDefinitionError: SyntaxOrAccessError, "invalid_table_definition";
    "42P17" InvalidObjectDefinitionError: SyntaxOrAccessError, "invalid_object_definition";
    "42P18" IndeterminateDatatypeError: SyntaxOrAccessError, "indeterminate_datatype";
    "42P19" InvalidRecursionError: SyntaxOrAccessError, "invalid_recursion";
    "42P20" WindowingError: SyntaxOrAccessError, "windowing_error";
    "42P21" CollationMismatchError: SyntaxOrAccessError, "collation_mismatch";
    "42P22" IndeterminateCollationError: SyntaxOrAccessError, "indeterminate_collation";
    "44000" WithCheckOptionViolationError: PostgresError, "with_check_option_violation";
    "53000" InsufficientResourcesError: PostgresError, "insufficient_resources";
    "53100" DiskFullError: InsufficientResourcesError, "disk_full";
    "53200" OutOfMemoryError: InsufficientResourcesError, "out_of_memory";
    "53300" TooManyConnectionsError: InsufficientResourcesError, "too_many_connections";
    "53400" ConfigurationLimitExceededError: InsufficientResourcesError, "configuration_limit_exceeded";
    "54000" ProgramLimitExceededError: PostgresError, "program_limit_exceeded";
    "54001" StatementTooComplexError: ProgramLimitExceededError, "statement_too_complex";
    "54011" TooManyColumnsError: ProgramLimitExceededError, "too_many_columns";
    "54023" TooManyArgumentsError: ProgramLimitExceededError, "too_many_arguments";
    "55000" ObjectNotInPrerequisiteStateError: PostgresError, "object_not_in_prerequisite_state";
    "55006" ObjectInUseError: ObjectNotInPrerequisiteStateError, "object_in_use";
    "55P02" CantChangeRuntimeParamError: ObjectNotInPrerequisiteStateError, "cant_change_runtime_param";
    "55P03" LockNotAvailableError: ObjectNotInPrerequisiteStateError, "lock_not_available";
    "55P04" UnsafeNewEnumValueUsageError: ObjectNotInPrerequisiteStateError, "unsafe_new_enum_value_usage";
    "57000" OperatorInterventionError: PostgresError, "operator_intervention";
    "57014" QueryCanceledError: OperatorInterventionError, "query_canceled";
    "57P01" AdminShutdownError: OperatorInterventionError, "admin_shutdown";
    "57P02" CrashShutdownError: OperatorInterventionError, "crash_shutdown";
    "57P03" CannotConnectNowError: OperatorInterventionError, "cannot_connect_now";
    "57P04" DatabaseDroppedError: OperatorInterventionError, "database_dropped";
    "57P05" IdleSessionTimeoutError: OperatorInterventionError, "idle_session_timeout";
    "58000" PostgresSystemError: PostgresError, "system_error";
    "58030" PostgresIOError: PostgresSystemError, "io_error";
    "58P01" UndefinedFileError: PostgresSystemError, "undefined_file";
    "58P02" DuplicateFileError: PostgresSystemError, "duplicate_file";
    "58P03" FileNameTooLongError: PostgresSystemError, "file_name_too_long";
    "72000" SnapshotTooOldError: PostgresError, "snapshot_too_old";
    "F0000" ConfigFileError: PostgresError, "config_file_error";
    "F0001" LockFileExistsError: ConfigFileError, "lock_file_exists";
    "HV000" FDWError: PostgresError, "fdw_error";
    "HV001" FDWOutOfMemoryError: FDWError, "fdw_out_of_memory";
    "HV002" FDWDynamicParameterValueNeededError: FDWError, "fdw_dynamic_parameter_value_needed";
    "HV004" FDWInvalidDataTypeError: FDWError, "fdw_invalid_data_type";
    "HV005" FDWColumnNameNotFoundError: FDWError, "fdw_column_name_not_found";
    "HV006" FDWInvalidDataTypeDescriptorsError: FDWError, "fdw_invalid_data_type_descriptors";
    "HV007" FDWInvalidColumnNameError: FDWError, "fdw_invalid_column_name";
    "HV008" FDWInvalidColumnNumberError: FDWError, "fdw_invalid_column_number";
    "HV009" FDWInvalidUseOfNullPointerError: FDWError, "fdw_invalid_use_of_null_pointer";
    "HV00A" FDWInvalidStringFormatError: FDWError, "fdw_invalid_string_format";
    "HV00B" FDWInvalidHandleError: FDWError, "fdw_invalid_handle";
    "HV00C" FDWInvalidOptionIndexError: FDWError, "fdw_invalid_option_index";
    "HV00D" FDWInvalidOptionNameError: FDWError, "fdw_invalid_option_name";
    "HV00J" FDWOptionNameNotFoundError: FDWError, "fdw_option_name_not_found";
    "HV00K" FDWReplyHandleError: FDWError, "fdw_reply_handle";
    "HV00L" FDWUnableToCreateExecutionError: FDWError, "fdw_unable_to_create_execution";
    "HV00M" FDWUnableToCreateReplyError: FDWError, "fdw_unable_to_create_reply";
    "HV00N" FDWUnableToEstablishConnectionError: FDWError, "fdw_unable_to_establish_connection";
    "HV00P" FDWNoSchemasError: FDWError, "fdw_no_schemas";
    "HV00Q" FDWSchemaNotFoundError: FDWError, "fdw_schema_not_found";
    "HV00R" FDWTableNotFoundError: FDWError, "fdw_table_not_found";
    "HV010" FDWFunctionSequenceError: FDWError, "fdw_function_sequence_error";
    "HV014" FDWTooManyHandlesError: FDWError, "fdw_too_many_handles";
    "HV021" FDWInconsistentDescriptorInformationError: FDWError, "fdw_inconsistent_descriptor_information";
    "HV024" FDWInvalidAttributeValueError: FDWError, "fdw_invalid_attribute_value";
    "HV090" FDWInvalidStringLengthOrBufferLengthError: FDWError, "fdw_invalid_string_length_or_buffer_length";
    "HV091" FDWInvalidDescriptorFieldIdentifierError: FDWError, "fdw_invalid_descriptor_field_identifier";
    "P0000" PLPGSQLError: PostgresError, "plpgsql_error";
    "P0001" RaiseError: PLPGSQLError, "raise_exception";
    "P0002" NoDataFoundError: PLPGSQLError, "no_data_found";
    "P0003" TooManyRowsError: PLPGSQLError, "too_many_rows";
    "P0004" AssertError: PLPGSQLError, "assert_failure";
    "XX000" InternalServerError: PostgresError, "internal_error";
    "XX001" DataCorruptedError: InternalServerError, "data_corrupted";
    "XX002" IndexCorruptedError: InternalServerError, "index_corrupted";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::process::Command;

    use super::*;

    /// Prints asyncpg's classes as the file beside the tests has them.
    const ASK: &str = "
import asyncpg.exceptions as names
for name, kind in sorted(vars(names).items()):
    if isinstance(kind, type) and vars(kind).get('sqlstate'):
        print(kind.sqlstate, name, kind.__bases__[0].__name__, sep='\\t')
";

    /// SQLSTATE to name and base.
    fn table(text: &str) -> BTreeMap<String, (String, String)> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let rows = lines.map(|line| {
            let mut columns = line.split('\t').map(str::to_owned);
            let mut next = || columns.next().expect("three columns");
            (next(), (next(), next()))
        });
        rows.collect()
    }

    fn recorded() -> BTreeMap<String, (String, String)> {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/data/asyncpg-exceptions.tsv"
        );
        table(&fs::read_to_string(path).expect("the list"))
    }

    fn ours() -> BTreeMap<String, (String, String)> {
        let base = |class: &Class| match class.above {
            Some(above) => super::class(above).expect("a class").name,
            None if is_message(class.sqlstate) => PostgresLogMessage::NAME,
            None => PostgresError::NAME,
        };
        CLASSES
            .iter()
            .map(|class| {
                let names = (class.name.to_owned(), base(class).to_owned());
                (class.sqlstate.to_owned(), names)
            })
            .collect()
    }

    #[test]
    fn all_names_of_asyncpg_are_there_with_their_code_and_base() {
        assert_eq!(ours(), recorded());
        assert_eq!(ours().len(), 262);
    }

    /// Asks the asyncpg of this machine, where `python3` finds one, and of the version that was recorded.
    #[test]
    fn the_record_is_what_asyncpg_says() {
        let python = std::env::var("ASYNCIO_DB_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let output = Command::new(python).args(["-c", ASK]).output();
        if let Ok(output) = output.as_ref()
            && output.status.success()
        {
            let live = table(&String::from_utf8_lossy(&output.stdout));
            for (code, names) in &recorded() {
                assert_eq!(live.get(code), Some(names), "{code}");
            }
        }
    }

    /// Asks the list of the PostgreSQL of this machine, where there is one.
    #[test]
    fn all_conditions_of_the_server_have_a_class() {
        let folders = fs::read_dir("/usr/share/postgresql");
        for folder in folders.into_iter().flatten().flatten() {
            let list = fs::read_to_string(folder.path().join("errcodes.txt")).unwrap_or_default();
            for line in list.lines() {
                let mut words = line.split_whitespace();
                let (Some(code), Some(kind)) = (words.next(), words.next()) else {
                    continue;
                };
                if code.len() == 5 && matches!(kind, "E" | "W") {
                    let known = class(code).is_some_and(|class| class.sqlstate == code);
                    assert!(known, "{}: {line}", folder.path().display());
                }
            }
        }
    }

    #[test]
    fn classes_are_sorted_and_lead_to_the_top() {
        assert!(CLASSES.is_sorted_by(|a, b| a.sqlstate < b.sqlstate));
        for class in CLASSES {
            let error = PgError::new(class.sqlstate, "");
            assert_eq!(error.class_name(), class.name);
            assert!(below(class.sqlstate, class.sqlstate));
            assert!(!error.is::<UnknownPostgresError>());
            assert_ne!(
                error.is::<PostgresError>(),
                error.is::<PostgresLogMessage>()
            );
        }
    }

    #[test]
    fn a_class_holds_what_is_below_it_and_no_more() {
        let unique = PgError::new("23505", "");
        assert!(unique.is::<UniqueViolationError>());
        assert!(unique.is::<IntegrityConstraintViolationError>());
        assert!(unique.is::<PostgresError>());
        assert!(!unique.is::<NotNullViolationError>() && !unique.is::<DataError>());
        let class = PgError::new("23000", "");
        assert!(class.is::<IntegrityConstraintViolationError>());
        assert!(!class.is::<UniqueViolationError>());
        // The hierarchy is asyncpg's, which SQLSTATEs alone do not tell.
        assert!(PgError::new("26000", "").is::<InvalidSQLStatementNameError>());
        assert!(!PgError::new("34000", "").is::<SyntaxOrAccessError>());
        assert!(PgError::new("01004", "").is::<PostgresWarning>());
    }

    #[test]
    fn a_code_that_is_not_known_is_of_its_kind() {
        let own = PgError::new("23ZZZ", "");
        assert!(own.is::<UnknownPostgresError>());
        assert!(own.is::<IntegrityConstraintViolationError>() && own.is::<PostgresError>());
        assert_eq!(own.class_name(), "UnknownPostgresError");
        for code in ["", "X", "ZZ000", "ä", "ЖЖ"] {
            let own = PgError::new(code, "");
            assert!(
                own.is::<UnknownPostgresError>() && own.is::<PostgresError>(),
                "{code}"
            );
            assert!(!own.is::<InternalServerError>(), "{code}");
        }
    }

    /// `asyncpg.tests.test_cache_invalidation`: the error of a plan that fits no longer is told from others
    /// of its code by the function of the server.
    #[test]
    fn a_plan_that_fits_no_longer_is_of_a_class_of_its_own() {
        let fields = |function: &str| [(b'C', "0A000".to_owned()), (b'R', function.to_owned())];
        let stale = PgError::from_fields(fields("RevalidateCachedQuery"));
        assert!(stale.is::<InvalidCachedStatementError>());
        assert!(stale.is::<FeatureNotSupportedError>());
        assert_eq!(stale.class_name(), "InvalidCachedStatementError");
        let other = PgError::from_fields(fields("other"));
        assert!(!other.is::<InvalidCachedStatementError>());
        assert_eq!(other.class_name(), "FeatureNotSupportedError");
    }
}
