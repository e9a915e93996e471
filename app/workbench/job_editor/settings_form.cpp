// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/workbench/job_editor/settings_form.h"

#include "app/workbench/job_editor/wheel_guard.h"

#include <QCheckBox>
#include <QComboBox>
#include <QGridLayout>
#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QLocale>
#include <QSignalBlocker>
#include <QToolButton>
#include <QVBoxLayout>

#include <algorithm>

namespace rankscope::workbench
{

using base::Json;
using protocol::SettingSchema;
using protocol::SettingType;

namespace
{

constexpr int boxesPerRow = 4;

QString textOf(const Json& value)
{
    if (value.is_string())
        return QString::fromStdString(value.get<std::string>());
    if (value.is_array()) {
        QStringList parts;
        for (const Json& item : value)
            parts << textOf(item);
        return parts.join(QStringLiteral(", "));
    }
    if (value.is_number_float()) {
        // As people write it, unless that would be another number.
        const auto number = value.get<double>();
        const QString text = QString::number(number, 'g', 10);
        return text.toDouble() == number ? text
                                         : QString::number(number, 'g', QLocale::FloatingPointShortest);
    }
    return value.is_null() ? QString() : QString::fromStdString(value.dump());
}

/// A number where the text is one, else the text itself.
Json numberOf(const QString& text, bool integer)
{
    bool valid = false;
    if (const qint64 whole = text.trimmed().toLongLong(&valid); valid)
        return whole;
    const double number = text.trimmed().toDouble(&valid);
    if (!valid)
        return text.toStdString();
    if (integer && number == static_cast<double>(static_cast<qint64>(number)))
        return static_cast<qint64>(number);
    return number;
}

QString toolTipOf(const SettingSchema& schema)
{
    QString tip = QString::fromStdString(schema.description.empty() ? schema.title : schema.description);
    if (!schema.defaultValue.is_null())
        tip += QObject::tr("\nDefault: %1").arg(textOf(schema.defaultValue));
    if (schema.minimum && schema.maximum)
        tip += QObject::tr("\nFrom %1 to %2").arg(*schema.minimum).arg(*schema.maximum);
    else if (schema.minimum)
        tip += QObject::tr("\nAt least %1").arg(*schema.minimum);
    return tip + QObject::tr("\nIn the job file: %1").arg(QString::fromStdString(schema.name));
}

} // namespace

SettingField::SettingField(const SettingSchema& schema, QWidget* parent)
    : QWidget(parent),
      m_schema(schema),
      m_default(schema.defaultValue),
      m_editor(makeEditor()),
      m_error(new QLabel(this))
{
    auto* grid = new QGridLayout(this);
    grid->setContentsMargins(0, 0, 0, 0);
    grid->setHorizontalSpacing(8);
    grid->setVerticalSpacing(2);
    const QString title = this->title();
    const QString tip = toolTipOf(schema);
    auto* caption = new QLabel(title, this);
    caption->setFixedWidth(SettingsForm::captionWidth);
    caption->setWordWrap(true);
    caption->setBuddy(m_editor);
    caption->setToolTip(tip);
    m_editor->setToolTip(tip);
    m_editor->setAccessibleName(title);
    m_editor->setAccessibleDescription(tip);
    m_error->setProperty("role", "error");
    m_error->setWordWrap(true);
    m_error->hide();
    grid->addWidget(caption, 0, 0, Qt::AlignTop);
    auto* editorRow = new QHBoxLayout; // keeps narrow editors at the left
    editorRow->addWidget(m_editor);
    if (m_editor->maximumWidth() < QWIDGETSIZE_MAX ||
        m_editor->sizePolicy().horizontalPolicy() == QSizePolicy::Maximum)
        editorRow->addStretch(1);
    grid->addLayout(editorRow, 0, 1);
    grid->addWidget(m_error, 1, 1);
    grid->setColumnStretch(1, 1);
    caption->setMinimumHeight(m_editor->sizeHint().height());
    setValue(schema.defaultValue);
}

QWidget* SettingField::makeEditor()
{
    if (m_schema.type == SettingType::Boolean) {
        auto* box = new QCheckBox(this);
        connect(box, &QCheckBox::toggled, this, &SettingField::edited);
        return box;
    }
    if (m_schema.type == SettingType::Text && !m_schema.choices.empty()) {
        auto* choice = new QComboBox(this);
        for (const std::string& text : m_schema.choices)
            choice->addItem(QString::fromStdString(text));
        choice->setSizePolicy(QSizePolicy::Maximum, QSizePolicy::Fixed);
        guardWheel(choice);
        connect(choice, &QComboBox::currentIndexChanged, this, &SettingField::edited);
        return choice;
    }
    if (m_schema.type == SettingType::TextList && !m_schema.choices.empty()) {
        auto* boxes = new QWidget(this);
        auto* grid = new QGridLayout(boxes);
        grid->setContentsMargins(0, 2, 0, 2);
        grid->setHorizontalSpacing(12);
        grid->setVerticalSpacing(4);
        int place = 0;
        for (const std::string& text : m_schema.choices) {
            auto* box = new QCheckBox(QString::fromStdString(text), boxes);
            grid->addWidget(box, place / boxesPerRow, place % boxesPerRow);
            ++place;
            connect(box, &QCheckBox::toggled, this, &SettingField::edited);
        }
        grid->setColumnStretch(boxesPerRow, 1);
        return boxes;
    }
    auto* line = new QLineEdit(this);
    if (m_schema.type == SettingType::Integer || m_schema.type == SettingType::Number) {
        line->setMaximumWidth(140);
    } else if (m_schema.type == SettingType::IntegerList || m_schema.type == SettingType::TextList) {
        line->setPlaceholderText(tr("separated by commas"));
    }
    connect(line, &QLineEdit::textEdited, this, &SettingField::edited);
    return line;
}

Json SettingField::value() const
{
    if (const auto* box = qobject_cast<const QCheckBox*>(m_editor))
        return box->isChecked();
    if (const auto* choice = qobject_cast<const QComboBox*>(m_editor))
        return choice->currentText().toStdString();
    if (const auto* line = qobject_cast<const QLineEdit*>(m_editor)) {
        const QString text = line->text();
        switch (m_schema.type) {
        case SettingType::Integer:
            return numberOf(text, true);
        case SettingType::Number:
            return numberOf(text, false);
        case SettingType::IntegerList:
        case SettingType::TextList: {
            Json list = Json::array();
            for (const QString& part : text.split(QLatin1Char(','), Qt::SkipEmptyParts))
                list.push_back(m_schema.type == SettingType::IntegerList
                                   ? numberOf(part, true)
                                   : Json(part.trimmed().toStdString()));
            return list;
        }
        default:
            return text.toStdString();
        }
    }
    Json list = Json::array();
    for (const QCheckBox* box : m_editor->findChildren<QCheckBox*>(QString(), Qt::FindDirectChildrenOnly))
        if (box->isChecked())
            list.push_back(box->text().toStdString());
    return list;
}

void SettingField::setValue(const Json& value)
{
    const QSignalBlocker blocker(this);
    if (auto* box = qobject_cast<QCheckBox*>(m_editor)) {
        box->setChecked(value.is_boolean() && value.get<bool>());
    } else if (auto* choice = qobject_cast<QComboBox*>(m_editor)) {
        choice->setCurrentText(textOf(value));
    } else if (auto* line = qobject_cast<QLineEdit*>(m_editor)) {
        line->setText(textOf(value));
        line->setCursorPosition(0);
    } else {
        for (QCheckBox* box : m_editor->findChildren<QCheckBox*>(QString(), Qt::FindDirectChildrenOnly))
            box->setChecked(value.is_array() &&
                            std::find(value.begin(), value.end(), box->text().toStdString()) != value.end());
    }
}

void SettingField::followDefault(const Json& settings)
{
    const Json& now = m_schema.defaultAmong(settings);
    if (now == m_default)
        return;
    const bool untouched = value() == m_default;
    m_default = now;
    if (untouched)
        setValue(now);
}

void SettingField::reset()
{
    m_default = m_schema.defaultValue;
    setValue(m_default);
}

void SettingField::keepAmong(const Json& settings)
{
    m_default = m_schema.defaultAmong(settings);
}

QString SettingField::title() const
{
    return QString::fromStdString(m_schema.title.empty() ? m_schema.name : m_schema.title);
}

QString SettingField::problem() const
{
    const Status status = protocol::FamilyManifest::check(m_schema, value());
    return status ? QString() : QString::fromStdString(status.error().message);
}

void SettingField::showError(const QString& message)
{
    // "training.batchSize is 9000, ...": the user knows the field by its title.
    QString shown = message;
    const QString key = message.section(QLatin1Char(' '), 0, 0);
    const QString name = key.section(QLatin1Char('.'), -1).section(QLatin1Char('['), 0, 0);
    if (name == QString::fromStdString(m_schema.name))
        shown = title() + message.mid(key.size());
    m_error->setText(shown);
    m_error->setVisible(!message.isEmpty());
}

QString SettingField::shownError() const
{
    return m_error->isHidden() ? QString() : m_error->text();
}

SettingsForm::SettingsForm(QWidget* parent) : QWidget(parent), m_column(new QVBoxLayout(this))
{
    m_column->setContentsMargins(0, 0, 0, 0);
    m_column->setSpacing(8);
}

void SettingsForm::setSchemas(const std::vector<SettingSchema>& schemas)
{
    delete m_content;
    m_fields.clear();
    m_typed.clear();
    m_fold = nullptr;
    m_content = new QWidget(this);
    m_column->addWidget(m_content);
    auto* column = new QVBoxLayout(m_content);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(8);

    // Groups in the order of their first setting; the advanced ones of all groups are folded together at the
    // end.
    std::vector<std::string> groups;
    for (const SettingSchema& schema : schemas)
        if (!schema.advanced && std::find(groups.begin(), groups.end(), schema.group) == groups.end())
            groups.push_back(schema.group);
    const auto add = [this](const SettingSchema& schema, QWidget* parent, QVBoxLayout* layout) {
        auto* field = new SettingField(schema, parent);
        layout->addWidget(field);
        m_fields.push_back(field);
        connect(field, &SettingField::edited, this, [this, field] {
            m_typed.insert(field->schema().name);
            followDefaults();
            check();
            Q_EMIT edited();
        });
    };
    for (const std::string& group : groups) {
        if (!group.empty()) {
            auto* heading = new QLabel(QString::fromStdString(group), m_content);
            heading->setProperty("role", "muted");
            heading->setContentsMargins(0, 6, 0, 0);
            column->addWidget(heading);
        }
        for (const SettingSchema& schema : schemas)
            if (!schema.advanced && schema.group == group)
                add(schema, m_content, column);
    }
    const auto advanced =
        std::count_if(schemas.begin(), schemas.end(), [](const auto& schema) { return schema.advanced; });
    if (advanced > 0) {
        auto* fold = new QToolButton(m_content);
        m_fold = fold;
        fold->setText(tr("Advanced (%1)").arg(advanced));
        fold->setToolTip(tr("Settings that are rarely changed"));
        fold->setCheckable(true);
        fold->setAutoRaise(true);
        fold->setArrowType(Qt::RightArrow);
        fold->setToolButtonStyle(Qt::ToolButtonTextBesideIcon);
        column->addWidget(fold);
        auto* inside = new QWidget(m_content);
        auto* insideColumn = new QVBoxLayout(inside);
        insideColumn->setContentsMargins(0, 0, 0, 0);
        insideColumn->setSpacing(8);
        for (const SettingSchema& schema : schemas)
            if (schema.advanced)
                add(schema, inside, insideColumn);
        inside->hide();
        column->addWidget(inside);
        connect(fold, &QToolButton::toggled, inside, [fold, inside](bool open) {
            fold->setArrowType(open ? Qt::DownArrow : Qt::RightArrow);
            inside->setVisible(open);
        });
    }
    check();
}

void SettingsForm::check()
{
    const Json settings = all();
    for (SettingField* field : m_fields) {
        field->setVisible(field->schema().shownAmong(settings));
        field->showError(field->problem());
    }
}

void SettingsForm::followDefaults()
{
    const Json settings = all();
    for (SettingField* field : m_fields) {
        const QSignalBlocker blocker(field);
        field->followDefault(settings);
    }
}

Json SettingsForm::all() const
{
    Json values = Json::object();
    for (const SettingField* field : m_fields)
        values[field->schema().name] = field->value();
    return values;
}

Json SettingsForm::values() const
{
    Json values = all();
    const Json settings = values;
    for (const SettingField* field : m_fields)
        if (!field->schema().shownAmong(settings))
            values.erase(field->schema().name);
    return values;
}

void SettingsForm::setValues(const Json& values)
{
    const auto given = [&values](const SettingField* field) {
        return values.is_object() && values.contains(field->schema().name);
    };
    for (SettingField* field : m_fields) {
        if (given(field))
            field->setValue(values[field->schema().name]);
        else
            field->reset();
    }
    // What is given stays, even where it happens to be the default of another variant.
    const Json settings = all();
    for (SettingField* field : m_fields)
        if (given(field))
            field->keepAmong(settings);
    followDefaults();
    check();
    Q_EMIT edited();
}

bool SettingsForm::valid() const
{
    return firstWrong() == nullptr;
}

SettingField* SettingsForm::firstWrong() const
{
    const Json settings = all();
    const auto wrong = std::find_if(m_fields.begin(), m_fields.end(), [&settings](const SettingField* field) {
        return field->schema().shownAmong(settings) && !field->problem().isEmpty();
    });
    return wrong == m_fields.end() ? nullptr : *wrong;
}

void SettingsForm::unfold(const SettingField* field)
{
    if (m_fold != nullptr && field->schema().advanced)
        m_fold->setChecked(true);
}

SettingField* SettingsForm::field(const QString& name) const
{
    for (SettingField* field : m_fields)
        if (QString::fromStdString(field->schema().name) == name)
            return field;
    return nullptr;
}

} // namespace rankscope::workbench
