# tokentail under the Task Scheduler of Windows: an ingest every five minutes, in the background.
# Run it once, as the user who may read the logs; run it again to replace the task.
param(
    [string]$Program = 'C:\tokentail\Scripts\tokentail.exe',
    [string]$Settings = 'C:\tokentail\tokentail.toml'
)

$action = New-ScheduledTaskAction -Execute $Program -Argument "ingest --quiet --config `"$Settings`""
$trigger = New-ScheduledTaskTrigger -Once -At (Get-Date) -RepetitionInterval (New-TimeSpan -Minutes 5)
$options = New-ScheduledTaskSettingsSet -MultipleInstances IgnoreNew -StartWhenAvailable `
    -ExecutionTimeLimit (New-TimeSpan -Hours 2) -AllowStartIfOnBatteries -DontStopIfGoingOnBatteries
$principal = New-ScheduledTaskPrincipal -UserId "$env:USERDOMAIN\$env:USERNAME" -LogonType S4U

Register-ScheduledTask -TaskName 'tokentail' -Action $action -Trigger $trigger -Settings $options `
    -Principal $principal -Description 'Read what is new in the logs of the executor' -Force
